"""The page's files: what is served, under which types, and what they may load."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import unmask.server
from unmask.server.problems import Problem
from unmask.server.routes import page

FOLDER = Path(unmask.server.__file__).parent / "page"
NAMES = sorted(path.name for path in FOLDER.iterdir() if path.is_file())
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@pytest.fixture(scope="module")
def client():
    app = FastAPI()
    app.include_router(page.router)

    @app.exception_handler(Problem)
    async def told(_, problem):
        from fastapi.responses import JSONResponse

        return JSONResponse(problem.body, problem.status)

    return TestClient(app)


def test_the_page_has_files():
    assert {"index.html", "main.js", "base.css"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_file_is_served_with_its_type(client, name):
    answer = client.get(f"/page/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == TYPES[Path(name).suffix]
    assert answer.content == (FOLDER / name).read_bytes()


def test_the_root_is_the_page(client):
    assert client.get("/").content == (FOLDER / "index.html").read_bytes()


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/page/base.css", "/page/mark.svg"])
def test_nothing_but_files_of_this_server_may_be_loaded(client, path):
    headers = client.get(path).headers
    rules = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert {rules[f"{kind}-src"] for kind in ("script", "style", "img", "connect")} == {"'self'"}
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    [
        "/page/app.py",
        "/page/..%2fapp.py",
        "/page/%2e%2e/app.py",
        "/page/..%2f..%2ferrors.py",
        "/page/%2fetc%2fpasswd",
        "/page/",
        "/page/main.js%00",
    ],
)
def test_no_other_file_is_served(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert b"import" not in answer.content


def test_an_unknown_file_is_told_in_the_form_of_all_errors(client):
    [error] = client.get("/page/mian.js").json().values()
    assert (error["code"], error["type"]) == ("not_found", "invalid_request_error")
    assert "'mian.js'" in error["message"]


def test_a_file_that_did_not_change_is_not_sent_again(client):
    tag = client.get("/page/main.js").headers["etag"]
    again = client.get("/page/main.js", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/page/main.js", headers={"If-None-Match": '"old"'}).status_code == 200


class Markup(HTMLParser):
    """What a document refers to, the ids it has, and what the policy would refuse in it."""

    def __init__(self, text):
        super().__init__()
        self.paths, self.ids, self.named, self.inline = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.paths += [given[key] for key in ("src", "href") if key in given]
        self.ids += [given["id"]] if "id" in given else []
        self.named += given["for"].split() if "for" in given else []
        self.inline += [f"{tag} {key}" for key in given if key == "style" or key.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)


@pytest.fixture(scope="module")
def markup():
    return Markup((FOLDER / "index.html").read_text())


def test_all_that_the_document_refers_to_is_there(client, markup):
    paths = [path for path in markup.paths if path not in ("/docs",) and path[0] != "#"]
    assert len(paths) > 5
    assert {path: client.get(path).status_code for path in paths} == dict.fromkeys(paths, 200)
    assert not markup.inline


def test_ids_are_there_once_and_labels_name_them(markup):
    assert len(set(markup.ids)) == len(markup.ids)
    assert set(markup.named) <= set(markup.ids)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".js")])
def test_modules_import_files_that_are_there_and_ids_of_the_document(name, markup):
    text = (FOLDER / name).read_text()
    imported = re.findall(r'from "\./([^"]+)"', text)
    assert set(imported) <= set(NAMES)
    assert set(re.findall(r'byId\("([^"]+)"\)', text)) <= set(markup.ids)
    assert len(text.splitlines()) <= 200


@pytest.mark.parametrize("name", NAMES)
def test_no_file_loads_from_elsewhere_or_makes_markup_of_text(name):
    text = (FOLDER / name).read_text()
    places = set(re.findall(r"https?://[^\s\"'`)]+", text))
    assert places <= {"http://www.w3.org/2000/svg"}  # the name of a language, not a place
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
