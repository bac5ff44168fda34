import itertools
import json
import shutil
import subprocess
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, diamond100
from ase.data import covalent_radii
from runs import Page, dimer_slab, search_run

from thermosearch.report.geometry import BOND_TOLERANCE, bonds, cell_edges, mix, ramp
from thermosearch.report.run_data import Structure
from thermosearch.report.viewer import MOST_ATOMS, script, viewer, viewer_data
from thermosearch.report.write import write_report


def test_data_on_the_page_are_the_structures_of_the_run(tmp_path: Path) -> None:
    folder = search_run(tmp_path / "run")
    data = json.loads(Page(write_report(folder)).by_id("viewer-data").text)
    listed = json.loads((folder / "results.json").read_text())["structures"]
    assert [each["label"] for each in data["structures"]] == [each["label"] for each in listed]
    for shown, entry in zip(data["structures"], listed, strict=True):
        atoms = ase.io.read(folder / entry["file"], index=entry["index"])
        assert shown["symbols"] == atoms.get_chemical_symbols()
        assert shown["pbc"] == atoms.pbc.tolist()
        np.testing.assert_allclose(shown["positions"], atoms.positions, atol=5e-5)
        np.testing.assert_allclose(shown["cell"], atoms.cell.array, atol=5e-5)
        assert len(shown["colours"]["height"]) == len(atoms)
        for places in shown["colours"].values():
            assert all(0 <= place < len(data["palette"]) for place in places)


def test_dimers_are_told_from_bonds() -> None:
    (shown,) = viewer_data([Structure("slab", dimer_slab(), {})])["structures"]
    assert shown["dimers"] == [[0, 1, 0, 0, 0]]
    assert [0, 1, 0, 0, 0] not in shown["bonds"]


@pytest.mark.parametrize(
    "atoms",
    [
        bulk("Si", "diamond", 5.43),
        bulk("Cu", "fcc", 3.6),
        bulk("NaCl", "rocksalt", 5.64, cubic=True),
        diamond100("Si", (1, 2, 4), a=5.43, vacuum=5.0),
        Atoms("OH2", [[0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0]]),
    ],
    ids=["primitive silicon", "one atom", "two elements", "slab", "molecule without a cell"],
)
def test_bonds_are_all_pairs_in_reach_of_all_images(atoms: Atoms) -> None:
    found = {
        (int(i), int(j), *map(int, shift)) for i, j, shift in zip(*bonds(atoms)[:3], strict=True)
    }
    radii = covalent_radii[atoms.numbers]
    expected = set()
    ranges = [range(-2, 3) if periodic else range(1) for periodic in atoms.pbc]
    for i, j in itertools.product(range(len(atoms)), repeat=2):
        for shift in itertools.product(*ranges):
            vector = atoms.positions[j] - atoms.positions[i] + np.array(shift) @ atoms.cell.array
            if 1e-9 < np.linalg.norm(vector) < BOND_TOLERANCE * (radii[i] + radii[j]):
                expected.add((i, j, *shift))
    both = found | {(j, i, *(-s for s in shift)) for i, j, *shift in found}
    assert both == expected
    assert len(found) == len(expected) // 2


def test_edges_of_the_cell() -> None:
    edges = cell_edges(bulk("Cu", "fcc", 3.6))
    lengths = np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1)
    np.testing.assert_allclose(lengths, np.full(12, 3.6 / np.sqrt(2.0)))
    slab = dimer_slab(lift=0.6)
    heights = cell_edges(slab)[..., 2]
    assert heights.min() == pytest.approx(slab.positions[:, 2].min())
    assert heights.max() == pytest.approx(slab.positions[:, 2].max())
    assert cell_edges(Atoms("H")).size == 0


def test_colours_of_the_ramp() -> None:
    assert ramp(-1.0) == ramp(0.0) == "#3b4a8c"
    assert ramp(2.0) == ramp(1.0) == "#f2d14b"
    assert mix("#000000", "#ff8000", 0.5) == "#804000"


def test_what_does_not_fit_is_told() -> None:
    many = Atoms(np.full(MOST_ATOMS, 14), np.zeros((MOST_ATOMS, 3)))
    small = Structure("small", dimer_slab(), {})
    assert "1 more structures" in viewer([small, Structure("large", many, {})])
    too_large = viewer([Structure("larger", many + Atoms("Si"), {})])
    assert "too large" in too_large
    assert "canvas" not in too_large


def test_viewer_is_small_and_alone() -> None:
    assert len(script().splitlines()) < 250
    assert "http" not in script()


@pytest.mark.slow
def test_viewer_turns_in_a_browser(tmp_path: Path) -> None:
    """The page runs our script under its own policy; a drag and a click change what is seen."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    report = write_report(search_run(tmp_path / "run"))
    probed = report.read_text().replace('http-equiv="Content', 'name="Content')
    # Without a screen no frames come by themselves.
    clock = "<head><script>window.requestAnimationFrame = (then) => setTimeout(then, 16);</script>"
    probed = probed.replace("<head>", clock).replace("</body>", PROBE)
    (tmp_path / "run" / "probe.html").write_text(probed)
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000"]
    own = [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    dumped = {
        name: subprocess.run(
            [browser, *options, *own, f"file://{tmp_path / 'run' / name}"],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for name in ("report.html", "probe.html")
    }
    assert "best structure: 4 atoms" in dumped["report.html"]
    assert "PROBE turned: true, picked: Si 0 at (0.500, 0.500, 5.000) Å" in dumped["probe.html"]


# Drags, then picks atom 0 from above; every step waits for the canvas to be painted.
PROBE = """<script>
addEventListener("load", async () => {
  const canvas = document.getElementById("viewer-canvas");
  const status = document.getElementById("viewer-status");
  const box = canvas.getBoundingClientRect();
  const frame = (then) => requestAnimationFrame(then);
  const painted = () => new Promise((done) => frame(() => frame(done)));
  canvas.setPointerCapture = () => {};
  const send = (kind, x, y) => canvas.dispatchEvent(new PointerEvent(
    kind, { clientX: box.left + x, clientY: box.top + y, pointerId: 1, bubbles: true }));
  const click = (x, y) => ["pointerdown", "pointerup"].forEach((kind) => send(kind, x, y));
  const cells = document.getElementById("viewer-cells");
  cells.value = "1";
  cells.dispatchEvent(new Event("change"));
  await painted();
  const before = canvas.toDataURL();
  send("pointerdown", 50, 50);
  send("pointermove", 90, 70);
  send("pointerup", 90, 70);
  await painted();
  const turned = canvas.toDataURL() !== before;
  document.querySelector('[data-view="top"]').click();
  await painted();
  let text = "";
  for (let y = 0; y < box.height && !text; y += 4) {
    for (let x = 0; x < box.width && !text; x += 4) {
      click(x, y);
      if (status.textContent.startsWith("Si 0 at")) text = status.textContent;
      click(0, 0);
    }
  }
  document.title = `PROBE turned: ${turned}, picked: ${text}`;
});
</script></body>"""
