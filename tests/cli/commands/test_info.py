"""`unmask info`."""

import json
import shutil

import unmask


def test_info_lists_the_bundled_models(call):
    done = call("info")
    assert "digits" in done.out
    assert "shidoku" in done.out
    said = call("info", "--json").json["models"]
    assert [each["model"] for each in said] == ["digits", "shidoku", "sudoku"]
    assert [each["classes"] for each in said] == [10, 0, 0]


def test_info_describes_a_model(call, folders):
    said = call("info", folders["digits"], "--json").json
    network = unmask.load(folders["digits"])
    assert said["parameters"] == sum(p.numel() for p in network.parameters())
    assert said["card"] == json.loads((folders["digits"] / "unmask.json").read_text())
    needs = {each["preset"]: each["needs"] for each in said["presets"]}
    assert list(needs) == unmask.presets.__all__
    assert (needs["token_critic"], needs["halton"]) == (["critic"], [])
    of_text = call("info", folders["text"], "--json").json["presets"]
    assert {each["preset"]: each["needs"] for each in of_text}["halton"] == ["height", "width"]
    told = call("info", folders["digits"]).out
    for words in (
        f"{said['parameters']:,}",
        f"{said['card']['vocab_size']} ids, 17 of them data; mask 17",
        "1.500",
        "maskgit",
        "--preset random_order --steps 18",
    ):
        assert words in told


def test_info_describes_a_model_whose_card_recommends_what_there_is_not(call, tmp_path, folders):
    shutil.copytree(folders["digits"], tmp_path / "m")
    card = json.loads((tmp_path / "m" / "unmask.json").read_text())
    card["about"]["preset"] = "maskgit"
    (tmp_path / "m" / "unmask.json").write_text(json.dumps(card))
    assert call("info", tmp_path / "m", "--json").json["recommended"] == "maskgit"
    told = call("info", tmp_path / "m")
    assert told.code == 0
    assert "the model's card recommends 'maskgit', which cannot be used" in " ".join(
        told.out.split()
    )


def test_info_of_what_is_no_model(call, tmp_path, folders):
    assert "did you mean 'shidoku'?" in call("info", "shidok").error()
    assert "has no unmask.json" in call("info", tmp_path).error()
    (tmp_path / "unmask.json").write_text((folders["digits"] / "unmask.json").read_text())
    assert "model.safetensors cannot be read" in call("info", tmp_path).error()
