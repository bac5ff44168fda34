"""From files of reference data to a model with its scales set and examples to train it on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from ase.data import chemical_symbols
from jaxtyping import Float

from thermosearch.configuration import OVERLAP, validate
from thermosearch.dataset import Dataset, Frame, read_dataset
from thermosearch.neural.model import NeuralPotential, with_config
from thermosearch.neural.parts import parts
from thermosearch.neural.study import DataSection, ModelSection, TrainStudy
from thermosearch.neural.training.batches import Example, example
from thermosearch.neural.training.loss import LossConfig
from thermosearch.neural.training.moments import with_moments
from thermosearch.neural.training.references import (
    excess_energies,
    normalised,
    reference_energies,
)
from thermosearch.neural.training.split import stratified_split
from thermosearch.potentials.neighbours_host import host_neighbours
from thermosearch.potentials.registry import load_potential
from thermosearch.runtime.errors import InputError
from thermosearch.runtime.mistakes import nearest


@dataclass(frozen=True)
class Prepared:
    """What a training starts from.

    Attributes
    ----------
    parts : tuple of NeuralPotential
        Untrained, normalised, with the reference energies; one for each descriptor.
    train, held_out : tuple of Example
    train_data, held_out_data : Dataset
        The frames of the examples, energies on the model's zero.
    test_data : dict of str to Dataset
        What the finished model is judged on, by the name of the split.
    notes : tuple of dict
        One for each file: name, frames used, held out and left out.
    """

    parts: tuple[NeuralPotential, ...]
    train: tuple[Example, ...]
    held_out: tuple[Example, ...]
    train_data: Dataset
    held_out_data: Dataset
    test_data: dict[str, Dataset]
    notes: tuple[dict, ...]


def prepare(study: TrainStudy) -> Prepared:
    """Read, split, weigh; set references and scales.

    Raises
    ------
    InputError
        Unreadable or empty data, also those of a test; data with elements the model is told not
        to have; weights that leave nothing to learn from.
    """
    files = [_read(section) for section in study.data]
    models = _initial(study, files) if study.start is None else _continued(study, files)
    model = models[0]
    elements, precision = model.elements, study.run.precision
    tests = _tests(study, model.config.elements)
    levels = [section.level for section in study.data]
    references = {
        level: reference_energies(_joined(files, levels, level), elements) for level in levels
    }
    excesses = [
        excess_energies(data, elements, references[level])
        for level, data in zip(levels, files, strict=True)
    ]
    if study.start is None:
        zero = jnp.asarray(references[levels[0]], jnp.float64)
        models = [eqx.tree_at(lambda m: m.references, each, zero) for each in models]
    # A model that goes on keeps its zero, and with it the first level does.
    references[levels[0]] = zero = np.asarray(models[0].references)

    sides: dict[str, list] = {"train": [], "held": [], "train_data": [], "held_data": []}
    notes = []
    for section, data, excess in zip(study.data, files, excesses, strict=True):
        kept, held = stratified_split(data, study.validation.fraction, study.validation.seed)
        offset = zero - references[section.level]
        for name, positions in (("train", kept), ("held", held)):
            for k in positions:
                weights = frame_weights(section, data[k], float(excess[k]))
                shifted = _shifted(data[k], elements, offset)
                sides[f"{name}_data"].append(shifted)
                sides[name].append(
                    example(
                        *(shifted, elements, model.cutoff, zero),
                        weights=weights,
                        precision=precision,
                    )
                )
        counts = {"train": len(kept), "held_out": len(held), "left_out": len(data.skipped)}
        notes.append({"file": section.file.name, "level": section.level, **counts})
    if not sides["train"]:
        raise InputError("the data hold no frame to train on")
    for name, use in (("train", "to train on"), ("held", "held out")):
        _refuse_nothing_to_learn(sides[name], study.training.loss, use)
    if study.start is None:
        models = [normalised(each, sides["train"]) for each in models]
    return Prepared(
        parts=tuple(models),
        train=with_moments(sides["train"], model),
        held_out=with_moments(sides["held"], model),
        train_data=Dataset(tuple(sides["train_data"]), "train"),
        held_out_data=Dataset(tuple(sides["held_data"]), "validation"),
        test_data=tests,
        notes=tuple(notes),
    )


def _initial(study: TrainStudy, files: Sequence[Dataset]) -> Sequence[NeuralPotential]:
    """Random weights, no scales, no element energies; a model for each descriptor."""
    elements = _elements(study.model.elements, files)
    symbols = tuple(chemical_symbols[z] for z in elements)
    with _model_mistakes():
        config = study.model.config(symbols, _cutoff(study.model, files), study.run.precision)
    sets = config.descriptors
    share = replace(config, members=config.members // sets, descriptors=1)
    keys = [jax.random.key(study.run.seed + number) for number in range(sets)]
    return [NeuralPotential.initial(share, key) for key in keys]


def _continued(study: TrainStudy, files: Sequence[Dataset]) -> Sequence[NeuralPotential]:
    """Parts of the model of `start`, with the repulsion of the study where that states one.

    Raises
    ------
    InputError
        If `[model]` states another architecture, or the data hold an element it lacks.
    """
    model = load_potential(study.start, study.run.precision)
    for name in sorted(study.model.model_fields_set - {"repulsion"}):
        stated, own = getattr(study.model, name), getattr(model.config, name, None)
        if stated != own:
            raise InputError(
                f"model.{name} = {stated} but start = {study.start} has {own}: leave it out, or "
                "train from nothing"
            )
    _elements(model.config.elements, files)
    if "repulsion" in study.model.model_fields_set:
        with _model_mistakes():
            config = replace(model.config, repulsion=study.model.repulsion)
        model = with_config(model, config)
    return parts(model)


@contextmanager
def _model_mistakes() -> Iterator[None]:
    """Tell of an architecture that is wrong, once elements and cutoff are known, in one line."""
    try:
        yield
    except ValueError as error:
        raise InputError(f"model: {error}") from error


def frame_weights(section: DataSection, frame: Frame, excess: float) -> tuple[float, float, float]:
    """Weights of energy, forces and stress of a frame.

    Parameters
    ----------
    section : DataSection
        With `soft_energy` e0 and `soft_force` f0 the weights carry 1 / (1 + (e/e0)^2), e the
        excess energy, and those of the forces 1 / (1 + (f/f0)^2), f the largest force, in
        addition: violent frames teach what is steep, not to the last meV.
    frame : Frame
    excess : float
        Of its energy per atom over the file's lowest frame, eV (see `excess_energies`).
    """
    factor = section.group_weights.get(frame.group, 1.0)
    weight = force = 1.0
    if section.soft_energy is not None and frame.energy is not None:
        weight = 1.0 / (1.0 + (excess / section.soft_energy) ** 2)
    if section.soft_force is not None and frame.forces is not None:
        largest = float(np.linalg.norm(frame.forces, axis=1).max())
        force = 1.0 / (1.0 + (largest / section.soft_force) ** 2)
    return (
        section.energy_weight * factor * weight,
        section.forces_weight * factor * weight * force,
        section.stress_weight * factor * weight,
    )


def neighbour_distance(frames: Sequence[Frame], most: int = 200) -> float:
    """Median distance of an atom to its nearest neighbour, A, over evenly chosen frames."""
    chosen = [frames[k] for k in np.unique(np.linspace(0, len(frames) - 1, most).astype(int))]
    found: list[np.ndarray] = []
    for frame in chosen:
        reach = 3.0
        # A dilute frame needs a longer look; an isolated atom has no neighbour at all.
        while reach < 13.0:
            nearest = _nearest(frame, reach)
            if np.isfinite(nearest).all():
                break
            reach *= 2.0
        found.append(nearest[np.isfinite(nearest)])
    distances = np.concatenate(found)
    if not len(distances):
        raise InputError("no two atoms of the data are near each other; state model.cutoff")
    return float(np.median(distances))


def _nearest(frame: Frame, reach: float) -> Float[np.ndarray, " n"]:
    positions, cell = frame.configuration.positions, frame.configuration.cell
    list_ = host_neighbours(frame.configuration, reach)
    filled = list_.index < len(positions)
    partner = np.where(filled, list_.index, 0)
    vectors = positions[partner] - positions[:, None] + list_.shift @ cell
    return np.where(filled, np.linalg.norm(vectors, axis=-1), np.inf).min(axis=1)


def _read(section: DataSection) -> Dataset:
    weights = {"energy": section.energy_weight, "forces": section.forces_weight}
    dataset = read_dataset(
        section.file,
        **section.conventions,
        require=tuple(label for label, weight in weights.items() if weight > 0.0),
        bad=section.bad,
        max_force=section.max_force,
    )
    for name in section.group_weights:
        if name not in dataset.groups:
            there = sorted(set(dataset.groups) - {""})
            hint = nearest(name, there) or f"; its groups: {', '.join(there) or 'none'}"
            raise InputError(f"{section.file}: group_weights: no frame is of {name!r}{hint}")
    chosen = dataset.subset(range(0, len(dataset), section.every))
    return replace(chosen, skipped=dataset.skipped)


def _tests(study: TrainStudy, symbols: Sequence[str]) -> dict[str, Dataset]:
    """Read what the model will be judged on, while a mistake in it costs nothing yet."""
    found = {}
    for each in study.test:
        data = read_dataset(each.file, **each.conventions, require=("energy",), duplicates=True)
        for frame in data:
            label = f"{each.file}: frame {frame.index}"
            # As `evaluate` will.
            validate(frame.configuration, closest=OVERLAP, label=label)
        found[f"test_{each.file.stem}"] = data
    _elements(symbols, tuple(found.values()))
    return found


def _refuse_nothing_to_learn(items: Sequence[Example], loss: LossConfig, use: str) -> None:
    energies = any(item.energy_weight > 0.0 for item in items)
    forces = loss.forces > 0.0 and any(item.force_weight > 0.0 for item in items)
    if items and not (energies or forces):
        raise InputError(
            f"the frames {use} have neither energies nor forces of any weight: raise energy_weight "
            "or forces_weight of [[data]], or training.loss.forces"
        )


def _elements(symbols: Sequence[str] | None, files: Sequence[Dataset]) -> tuple[int, ...]:
    """Atomic numbers of a model's elements in its order; by default those of the data."""
    present = sorted({z for data in files for z in data.elements})
    if symbols is None:
        return tuple(present)
    numbers = tuple(chemical_symbols.index(symbol) for symbol in symbols)
    for data in files:
        unknown = [chemical_symbols[z] for z in data.elements if z not in numbers]
        if unknown:
            raise InputError(
                f"{data.source}: holds {unknown[0]}, which the model's elements "
                f"{list(symbols)} lack; add it to model.elements of a new training"
            )
    return numbers


def _cutoff(model: ModelSection, files: Sequence[Dataset]) -> float:
    if model.cutoff is not None:
        return model.cutoff
    distance = neighbour_distance([frame for data in files for frame in data])
    return round(model.cutoff_in_neighbour_distances * distance, 2)


def _joined(files: Sequence[Dataset], levels: Sequence[str], level: str) -> Dataset:
    chosen = (data for data, name in zip(files, levels, strict=True) if name == level)
    return Dataset(tuple(frame for data in chosen for frame in data))


def _shifted(
    frame: Frame, elements: tuple[int, ...], offset: Float[np.ndarray, " elements"]
) -> Frame:
    """Frame with its energy moved to the model's zero."""
    if frame.energy is None or not offset.any():
        return frame
    counts = [np.sum(frame.configuration.numbers == z) for z in elements]
    return replace(frame, energy=float(frame.energy + np.dot(counts, offset)))
