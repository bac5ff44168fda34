"""The members of a committee, each as a potential of its own."""

import numpy as np

from thermosearch.potentials.interface import CommitteeMember, Potential, has_spread


def members_of(potential: Potential) -> list[CommitteeMember]:
    """Return each member as a potential of its own; none where they could not disagree."""
    if not has_spread(potential):
        return []
    return [CommitteeMember(potential, np.asarray(k, np.int32)) for k in range(potential.members)]
