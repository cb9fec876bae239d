"""Modules of the page on their own: streams of events, requests, rules, and recordings."""

import pytest

pytest.importorskip("playwright")

STREAM = (
    ": keep-alive\r\n\r\n"
    'event: denoise\r\ndata: {"text": "née ▒ 🎭"}\r\n\r\n'
    "data: one\ndata: two\n\n"
    "event: unused\n\n"
    "data:tight\r\rid: 7\ndata\n\n"
    "data: [DONE]\n\n"
    "data: unfinished"
)
EVENTS = [
    {"event": "denoise", "data": '{"text": "née ▒ 🎭"}'},
    {"event": "message", "data": "one\ntwo"},
    {"event": "message", "data": "tight"},
    {"event": "message", "data": ""},
    {"event": "message", "data": "[DONE]"},
]

READ = """async ([bytes, cuts]) => {
    const { events } = await import('/page/sse.js');
    const stream = new ReadableStream({ start(controller) {
        for (let i = 0; i < cuts.length - 1; i++) {
            controller.enqueue(new Uint8Array(bytes.slice(cuts[i], cuts[i + 1])));
        }
        controller.close();
    } });
    const found = [];
    for await (const each of events(stream)) found.push(each);
    return found;
}"""


@pytest.fixture
def module(context, address):
    """Call a function of JavaScript beside the page's modules."""
    page = context.new_page()
    page.goto(address)
    return page.evaluate


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_events_are_read_wherever_the_stream_is_cut(module, size):
    body = STREAM.encode()
    cuts = [*range(0, len(body), size), len(body)]
    assert module(READ, [list(body), cuts]) == EVENTS


BROKEN = """async (cut) => {
    const start = new TextEncoder().encode('data: {"type": "start"}\\n\\n');
    const error = new TypeError('network error');
    const pull = (controller) => (cut ? controller.close() : controller.error(error));
    const source = { start: (it) => it.enqueue(start), pull };
    const stream = new ReadableStream(source, { highWaterMark: 0 });
    window.fetch = async () => new Response(stream);
    const { denoise } = await import('/page/api.js');
    const found = [];
    try {
        for await (const each of denoise({ path: '/', body: {} })) found.push(each.type);
    } catch (error) {
        found.push(error.message);
    }
    return found;
}"""


@pytest.mark.parametrize("cut", [False, True], ids=["error", "cut"])
def test_an_answer_that_breaks_off_is_told(module, cut):
    assert module(BROKEN, cut) == ["start", "The server's answer broke off before its end."]


def test_rules_find_what_a_loop_over_all_pairs_finds(module):
    layout = {"kind": "board", "height": 4, "width": 4, "symbols": [*"1234"], "box": [2, 2]}
    script = """async ([layout, board]) => {
        const { clashes } = await import('/page/rules.js');
        return [...clashes(layout, board)].sort((a, b) => a - b);
    }"""
    for number in range(40):
        board = [(number * 7 + i * i * 5 + i // 3) % 6 for i in range(16)]
        board = [None if each > 3 else each for each in board]
        expected = [
            i
            for i in range(16)
            if board[i] is not None
            and any(board[i] == board[j] and joined(i, j) for j in range(16))
        ]
        assert module(script, [layout, board]) == expected


def joined(i, j):
    same = (i // 4 == j // 4, i % 4 == j % 4, (i // 8, i % 4 // 2) == (j // 8, j % 4 // 2))
    return i != j and any(same)


def test_a_prompt_of_ids_may_leave_some_open(module):
    script = "async (text) => (await import('/page/request.js')).idsOf(text)"
    assert module(script, " 3, 1 _ [MASK:2] 12[MASK] ") == [3, 1, None, None, None, 12, None]
    assert module(script, "3 x 1e9 -2 _") == [3, "x", "1e9", -2, None]  # for the server to refuse


@pytest.mark.parametrize(
    ("kind", "chat", "prompt", "path", "field"),
    [
        ("text", False, "to be", "/v1/completions", "prompt"),
        ("text", False, "to [MASK] or", "/v1/infill", "text"),
        ("text", True, "who?", "/v1/chat/completions", "messages"),
        ("text", True, "who[MASK:2]?", "/v1/infill", "text"),
        ("ids", False, "1 _", "/v1/infill", "ids"),
        ("image", False, "", "/v1/infill", "grid"),
        ("board", False, "", "/v1/infill", "grid"),
    ],
)
def test_each_kind_of_model_is_asked_by_its_endpoint(module, kind, chat, prompt, path, field):
    script = """async ([model, asked]) => {
        const { requestOf } = await import('/page/request.js');
        return requestOf(model, asked);
    }"""
    model = {"id": "m", "unmask": {"kind": kind, "chat": chat, "layout": {"offset": 0}}}
    asked = {"prompt": prompt, "tokens": 9, "grid": [[None]], "preset": "mdlm", "options": {}}
    asked |= {"steps": None, "seed": 4, "condition": None}
    found = module(script, [model, asked])
    assert found["path"] == path
    assert field in found["body"]
    assert found["body"]["stream_mode"] == "denoise"
    assert {"steps", "condition", "options"}.isdisjoint(found["body"])


def test_a_recording_goes_forward_and_back(module):
    step = {"index": 0, "remasked": [], "alternatives": None}
    steps = [
        {**step, "positions": [1], "tokens": [5], "text": ["a"], "logprobs": [-1], "forwards": 1},
        {**step, "positions": [2], "tokens": [6], "text": ["b"], "logprobs": [-2], "forwards": 2,
         "remasked": [1]},
        {**step, "positions": [1], "tokens": [7], "text": ["c"], "logprobs": [-3], "forwards": 4},
    ]  # fmt: skip
    start = {"rows": [{"length": 3, "tokens": [9, None, None], "text": ["x", None, None]}]}
    script = """async ([start, steps, order]) => {
        const { Recording } = await import('/page/recording.js');
        const recording = new Recording(start);
        steps.forEach((each) => recording.add(each));
        return order.map((count) => recording.frame(count).map((cell) => [cell.token, cell.step]));
    }"""
    frames = {
        0: [[9, 0], [None, 0], [None, 0]],
        1: [[9, 0], [5, 1], [None, 0]],
        2: [[9, 0], [None, 0], [6, 2]],
        3: [[9, 0], [7, 3], [6, 2]],
    }
    order = [0, 1, 2, 3, 1, 0, 3, 2]
    assert module(script, [start, steps, order]) == [frames[count] for count in order]


def test_options_that_differ_are_asked_for(module):
    script = """async ([model, typed]) => {
        const { optionsIn, showOptions } = await import('/page/presets.js');
        const place = document.createElement('div');
        const count = showOptions(place, model, 'm');
        const first = optionsIn(place);
        for (const [key, value] of Object.entries(typed)) {
            const field = place.querySelector(`[data-key=${key}]`);
            if (field.type === 'checkbox') field.checked = value;
            else field.value = value;
        }
        return [count, first, optionsIn(place)];
    }"""
    options = {"steps": 8, "a": 1.5, "b": None, "c": "x", "d": False, "e": [1], "f": 2}
    preset = {"name": "m", "steps": 12, "f": 3}
    model = {"unmask": {"presets": [{"name": "m", "options": options}], "preset": preset}}
    typed = {"a": " .5 ", "b": "0.25", "c": "", "d": True, "f": "1e999"}
    expected = {"a": 0.5, "b": 0.25, "c": "", "d": True, "f": "1e999"}
    assert module(script, [model, typed]) == [5, {"f": 3}, expected]


def test_values_are_written_as_python_reads_them(module):
    value = {
        "text": "it's \"so\"\n\\ \u2028 é", "none": None, "yes": True, "no": False, "number": -0.5,
        "row": [1, None, 2], "grid": [[1, None], [None, 2]], "empty": {}, "nothing": [],
    }  # fmt: skip
    script = "async (value) => (await import('/page/snippets.js')).literal(value)"
    assert eval(module(script, value), {}) == value


VIEW = """async ([layout, tokens]) => {
    const { Canvas } = await import('/page/canvas.js');
    const { BoardView } = await import('/page/board-view.js');
    const { ImageView } = await import('/page/image-view.js');
    const View = layout.kind === 'image' ? ImageView : BoardView;
    const view = new View({ layout, canvas: new Canvas(layout), label: 'm', onedit() {} });
    view.show(tokens.map((token) => ({ token, given: true })), 'step', 1);
    const cells = [...view.element.querySelectorAll('[data-cell]')];
    return cells.map((cell) => cell.value ?? cell.ariaLabel.split(': ')[1]);
}"""


@pytest.mark.parametrize(
    ("kind", "shown"),
    [("image", ["level 2", "unknown", "level 0", "level 1"]), ("board", ["c", "", "a", "b"])],
)
def test_what_stands_before_a_grid_is_not_drawn(module, kind, shown):
    layout = {"height": 2, "width": 2, "levels": 3, "symbols": [*"abc"], "box": [0, 0]}
    assert module(VIEW, [{"kind": kind, "offset": 1, **layout}, [1, 2, None, 0, 1]]) == shown


PLAYED = """async () => {
    const { Player } = await import('/page/player.js');
    const shown = [];
    const player = new Player((position) => shown.push(position));
    player.reach(3);
    player.pause();
    return shown;
}"""


@pytest.mark.parametrize(
    ("context", "shown"),
    [({"reduced_motion": "reduce"}, [3]), ({"reduced_motion": "no-preference"}, [1])],
    indirect=["context"],
    ids=["calm", "moving"],
)
def test_steps_come_one_by_one_where_motion_is_wanted(module, shown):
    assert module(PLAYED) == shown
