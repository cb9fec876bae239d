"""Images and boards in the page: parts are erased, cells are typed into, and the rest stays."""

import pytest

pytest.importorskip("playwright")

from tests.server.page.browsing import generate, settled
from tests.server.page.test_text import answered, asked

PUZZLE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"


def levels(page):
    """Return the level of each pixel, None where unknown."""
    told = page.locator(".pixel").evaluate_all("list => list.map(each => each.ariaLabel)")
    words = [each.split(": ")[1] for each in told]
    return [None if word == "unknown" else int(word.split()[1]) for word in words]


def typed(page):
    """Return the text of each cell of a board."""
    return page.locator(".cell input").evaluate_all("list => list.map(each => each.value)")


def flat(grid):
    return [each for row in grid for each in row]


def drawn(open_page, **fields):
    """Return a page that shows a drawing, and its request."""
    page = open_page("digits")
    [request] = asked(page, lambda: generate(page, **fields))
    return page, request


def test_an_image_is_drawn(open_page):
    page, (url, body) = drawn(open_page, condition=3)
    assert (url.rsplit("/v1/")[-1], body["condition"]) == ("infill", 3)
    assert flat(body["grid"]) == [None] * 64
    assert levels(page) == flat(answered(url, body)["choices"][0]["grid"])
    assert page.locator("#run").text_content() == "Draw another"


def test_what_the_mouse_erases_is_filled_again_and_the_rest_stays(open_page):
    page, _ = drawn(open_page)
    before = levels(page)
    page.fill("#brush", "1")
    box = page.locator(".image").bounding_box()
    side = box["width"] / 8
    page.mouse.move(box["x"] + side * 1.5, box["y"] + side * 4.5)
    page.mouse.down()
    page.mouse.move(box["x"] + side * 5.5, box["y"] + side * 4.5, steps=20)
    page.mouse.up()
    erased = levels(page)
    gone = [i for i, level in enumerate(erased) if level is None]
    assert gone == [33, 34, 35, 36, 37]
    assert page.locator("#run").text_content() == "Refill 5 pixels"
    [(_, body)] = asked(page, lambda: generate(page, seed=8))
    assert flat(body["grid"]) == erased
    after = levels(page)
    assert None not in after
    assert {i for i in range(64) if after[i] != before[i]} <= set(gone)


def test_keys_erase_pixels_and_undo_brings_them_back(open_page):
    page, _ = drawn(open_page)
    before = levels(page)
    page.fill("#brush", "1")
    page.locator(".pixel").first.focus()
    for key in ("ArrowDown", "ArrowRight", " ", "Shift+ArrowRight"):
        page.keyboard.press(key)
    assert [i for i, level in enumerate(levels(page)) if level is None] == [9, 10]
    page.get_by_role("button", name="Undo").click()
    assert levels(page) == before


@pytest.mark.parametrize("context", [{"has_touch": True}], indirect=True, ids=["touch"])
def test_a_finger_erases(open_page):
    page, _ = drawn(open_page)
    page.fill("#brush", "3")
    box = page.locator(".image").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 0.31, box["y"] + box["height"] * 0.31)
    assert [i for i, level in enumerate(levels(page)) if level is None] == [
        9,
        10,
        11,
        17,
        18,
        19,
        25,
        26,
        27,
    ]


def test_a_sudoku_is_solved_and_its_givens_stay(open_page):
    page = open_page("sudoku")
    page.get_by_role("button", name="Example").click()
    assert typed(page) == [each.strip(".") for each in PUZZLE]
    [(url, body)] = asked(page, lambda: generate(page))
    cells = typed(page)
    assert "".join(
        str(each + 1) for each in flat(answered(url, body)["choices"][0]["grid"])
    ) == "".join(cells)
    assert all(given in (".", cell) for given, cell in zip(PUZZLE, cells, strict=True))
    rows = [cells[i : i + 9] for i in range(0, 81, 9)]
    assert all(len(set(unit)) == 9 for unit in [*rows, *zip(*rows, strict=True)])
    assert page.locator(".note").text_content() == "Every row, column and box is complete"
    assert page.locator(".cell.given").count() == 30


def test_a_board_is_typed_into_by_keys(open_page):
    page = open_page("shidoku")
    page.locator(".cell input").first.focus()
    for key in (
        "1",
        "ArrowRight",
        "ArrowRight",
        "ArrowRight",
        "4",
        "ArrowDown",
        "x",
        "Home",
        "2",
        "3",
    ):
        page.keyboard.press(key)
    assert typed(page) == ["1", "", "", "4", "3", "", "", ""] + [""] * 8
    page.keyboard.press("Backspace")
    assert typed(page)[4] == ""
    generate(page)
    assert (typed(page)[0], typed(page)[3], "" in typed(page)) == ("1", "4", False)


def test_cells_that_clash_are_marked(open_page):
    page = open_page("shidoku")
    page.locator(".cell input").nth(0).fill("1")
    page.locator(".cell input").nth(5).fill("1")
    wrong = page.locator("[aria-invalid='true']").evaluate_all(
        "list => list.map(each => each.dataset.cell)"
    )
    assert wrong == ["0", "5"]
    page.locator(".cell input").nth(5).fill("2")
    assert page.locator("[aria-invalid='true']").count() == 0


def test_a_line_of_symbols_is_pasted(open_page):
    page = open_page("sudoku")
    script = """(cell, text) => {
        const data = new DataTransfer();
        data.setData("text", text);
        const options = { clipboardData: data, bubbles: true, cancelable: true };
        cell.dispatchEvent(new ClipboardEvent("paste", options));
    }"""
    page.locator(".cell input").nth(40).evaluate(script, PUZZLE.replace(".", "0"))
    assert typed(page) == [each.strip(".") for each in PUZZLE]


def test_cells_settle_in_order(open_page):
    page = open_page("sudoku")
    page.get_by_role("button", name="Example").click()
    page.select_option("#preset", "confidence")
    generate(page, steps=10)
    page.locator("#slider").focus()
    page.keyboard.press("Home")
    counts = [typed(page).count("")]
    for _ in range(10):
        page.keyboard.press("ArrowRight")
        counts.append(typed(page).count(""))
    assert (counts[0], counts[-1]) == (51, 0)
    assert counts == sorted(counts, reverse=True)


def test_two_presets_solve_one_board(open_page):
    page = open_page("shidoku")
    page.get_by_role("button", name="Example").click()
    page.check("#compare")
    bodies = asked(page, lambda: generate(page))
    settled(page)
    assert len(bodies) == 2
    assert bodies[0][1]["grid"] == bodies[1][1]["grid"]
    assert flat(bodies[0][1]["grid"]).count(None) == 13
    assert "" not in typed(page)
