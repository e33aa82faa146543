"""A session in a browser: what is decided on the page is there after the program was killed, and in the next round.

    check_session.py SAM_MED IMAGE MASK FOLDER

SAM_MED is the program, MASK a label map of IMAGE with one structure: two of its slices are outlined, the others found.
Needs what check_review.py needs. Writes to FOLDER, how the page looks among it: session.png.
"""

import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
from check_report import browsing, look
from check_review import Page, Review, check_quiet, slices
from selenium.webdriver.common.by import By


def crop(source, low, high, path):
    """Writes the slices from low to below high, with their place in space, and returns what was written."""
    cropped = nibabel.load(source).slicer[:, :, low:high]
    nibabel.save(cropped, path)
    return cropped


def outline(image, shown, path):
    """Writes a mask with only two of its slices, at its thirds, and returns their indices."""
    kept = [int(shown[len(shown) * third // 3]) for third in (1, 2)]
    voxels = np.zeros(image.shape, np.uint16)
    voxels[:, :, kept] = np.asarray(image.dataobj)[:, :, kept]
    nibabel.save(nibabel.Nifti1Image(voxels, image.affine), path)
    return kept


class Loop:
    """The programs, on one session."""

    def __init__(self, sam_med, image, folder):
        self.program, self.image = sam_med, image
        self.session, self.partial, self.out = folder / "session", folder / "partial.nii.gz", folder / "mask.nii.gz"
        # All commands share the embeddings of the scan.
        self.cache = folder / "cache"

    def round(self, *options):
        """Learns from all that was decided, and gives the mask."""
        command = [self.program, "annotate", "--image", self.image, "--session", self.session, "--out", self.out]
        command += ["--cache", self.cache, *options]
        subprocess.run(command, check=True)
        return slices(nibabel.load(self.out))

    def review(self):
        return Review(self.program, self.image, self.out, "--session", self.session, "--cache", self.cache)


def decide(page, truth, free):
    """Accepts one slice and draws another with a box around the structure's upper half, which no round finds; gives both."""
    accepted, drawn = free[len(free) // 3], free[2 * len(free) // 3]
    page.go(accepted)
    page.keys("a")
    page.settle("accepted")
    rows, columns = np.nonzero(truth[drawn])
    page.go(drawn)
    page.drag(int(rows.min()), int(columns.min()), int(rows.min() + rows.max()) // 2, int(columns.max()))
    assert page.state() == "proposed", page.state()
    page.keys("a")
    page.settle("drawn")
    # One that is taken back, for good.
    page.go(free[0])
    page.keys("r")
    page.settle("rejected")
    page.keys("z")
    page.settle("predicted")
    return accepted, drawn


def check_kept(page, accepted, drawn, coloured, rejected):
    for index, state in [(accepted, "accepted"), (drawn, "drawn"), (rejected, "predicted")]:
        page.go(index)
        assert page.state() == state, f"slice {index} is {page.state()}, not {state}"
    page.go(drawn)
    assert page.coloured() == coloured, "what was drawn has changed"


def check_changes(review, size):
    """The page says what the second round changed, and marks those slices."""
    try:
        with browsing() as browser:
            browser.set_window_size(1280, 900)
            browser.get(review.address)
            Page(browser, size)
            said = browser.find_element(By.ID, "changes").text
            assert said.startswith("Round 2: segmented again: slices "), f"the page says of the round: {said!r}"
            marked = browser.find_elements(By.CSS_SELECTOR, '#ranking [data-renewed="true"]')
            assert any("segmented again" in row.text for row in marked), "no slice is marked as segmented again"
            assert len(marked) < len(browser.find_elements(By.CSS_SELECTOR, "#ranking button")), "all are marked"
        review.end()
    finally:
        review.kill()


def main(sam_med, image, mask, folder):
    folder.mkdir(parents=True, exist_ok=True)
    # The structure's upper end and some empty slices beyond it: the whole scan would take twice as long.
    end = int(np.flatnonzero(slices(nibabel.load(mask)).any(axis=(1, 2)))[-1])
    low, high = end - 15, end + 5
    crop(image, low, high, folder / "image.nii.gz")
    mask = crop(mask, low, high, folder / "truth.nii.gz")
    loop = Loop(sam_med, folder / "image.nii.gz", folder)
    assert not loop.session.exists(), f"{loop.session} is there from another run"
    truth = slices(mask)
    shown = np.flatnonzero(truth.any(axis=(1, 2)))
    outlined = outline(mask, shown, loop.partial)
    found = loop.round("--annotations", loop.partial)
    for index in outlined:
        assert np.array_equal(found[index], truth[index]), f"slice {index} was outlined, and has changed"
    free = [int(index) for index in shown if index not in outlined and found[index].any()]

    review = loop.review()
    try:
        with browsing() as browser:
            browser.set_window_size(1280, 900)
            browser.get(review.address)
            page = Page(browser, truth.shape[1:])
            accepted, drawn = decide(page, truth, free)
            page.go(drawn)
            coloured = page.coloured()
            # Nobody saved, and the program is given no time to.
            review.kill()
            review = loop.review()
            browser.get_log("performance")
            browser.get_log("browser")
            browser.get(review.address)
            page = Page(browser, truth.shape[1:])
            check_kept(page, accepted, drawn, coloured, free[0])
            page.keys("s")
            page.until(lambda: "Saved to" in browser.find_element(By.TAG_NAME, "body").text, "the mask to be saved")
            look(browser, 1280, "light", folder / "session.png")
            check_quiet(browser, review.address)
        review.end()
    finally:
        review.kill()

    saved = slices(nibabel.load(loop.out))
    assert np.array_equal(saved[accepted], found[accepted]), "the accepted slice has changed"
    assert saved[drawn].any() and (saved[drawn] != found[drawn]).any(), "what was drawn is not in the mask"
    again = loop.round("--warm")
    for index in [*outlined, accepted, drawn]:
        assert np.array_equal(again[index], saved[index]), f"the next round has changed slice {index}, which is the person's"
    check_changes(loop.review(), truth.shape[1:])
    print(f"{loop.session}: {accepted} accepted and {drawn} drawn, there after a kill and after another round")


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
