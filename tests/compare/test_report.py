from __future__ import annotations

import base64
import html
import io
import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.image import imread
from rich.console import Console

from compare.synthetic import results, write_comparison
from mmpareto import MMParetoError
from mmpareto.compare._console import print_table
from mmpareto.compare._report import write_report
from mmpareto.compare._results import read_results, write_results
from mmpareto.compare._summary import table_rows
from mmpareto.compare._table import build_table

GEOMETRY = "step,modality,cosine,conflict,norm_joint,norm_unimodal"
VOID = {"meta", "img", "br", "link", "hr", "input"}
NASTY = "<b onclick=\"x('&amp;')\">[red]$m$"


@dataclass
class Page(HTMLParser):
    """A parsed page: fails on tags that are not closed in order, keeps what the tests ask for."""

    source: str
    open: list[str] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    text: str = ""

    def __post_init__(self):
        super().__init__()
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")
        elif tag == "br" or dict(attrs).get("class") == "remark":
            self.tables[-1][-1][-1] += "\n"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data
        if not {"style", "script"} & set(self.open):
            self.text += f" {data}"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def parsed(out: Path) -> Page:
    return Page(write_report(out).read_text(encoding="utf-8"))


@pytest.fixture
def out(tmp_path) -> Path:
    (tmp_path / "comparison").mkdir()
    return write_comparison(tmp_path / "comparison")


def printed(source, **options) -> str:
    console = Console(file=io.StringIO(), **{"width": 100, **options})
    print_table(source, console)
    return console.file.getvalue()


def test_the_table_is_that_of_the_statistics(out):
    found = read_results(out / "results.csv")
    header, *rows = parsed(out).tables[0]
    assert header[:5] == ["method", "joint", "joint minus\nuniform (points)", "gray", "colour"]
    for cells, row in zip(rows, table_rows(found), strict=True):
        assert cells[:2] == [row.method, f"{100 * row.joint.mean:.1f} ±{100 * row.joint.sd:.1f}"]
        assert [float(cell.split(" ±")[0]) for cell in cells[3:5]] == [
            float(f"{100 * row.unimodal[part].mean:.1f}") for part in ("gray", "colour")
        ]
        assert cells[7] == f"{row.seconds.mean:.1f}"
        if row.difference is None:
            assert cells[2] == "reference"
        else:
            numbers = re.findall(
                r"[+-][\d.]+", cells[2].split("\n")[0].replace("\N{MINUS SIGN}", "-")
            )
            of = row.difference
            assert numbers == [f"{100 * x:+.1f}" for x in (of.mean, of.low, of.high)]
            assert ("\nnot resolved, p " in cells[2]) is not of.resolved
            assert cells[2].endswith(f"p {of.p_value:.2f}" if of.p_value >= 0.01 else "p < 0.01")
    assert {row.difference.resolved for row in table_rows(found) if row.difference} == {True, False}


def test_page_and_terminal_show_the_same_cells_and_sentences(out):
    table, page, shown = build_table(read_results(out / "results.csv")), parsed(out), printed(out)
    assert page.tables[0] == [list(table.header), *map(list, table.rows)]
    for row in (table.header, *table.rows):
        assert all(line in shown for cell in row for line in cell.split("\n"))
    for sentence in (table.headline, table.caption, table.notes, *table.attribution):
        assert sentence in page.words
        assert sentence in " ".join(shown.split())


def test_the_page_loads_nothing(out):
    page = parsed(out)
    assert not re.search(r"https?:|url\(|@import|<script|<link|<iframe", page.source)
    assert not [
        name
        for _, attributes in page.tags
        for name in attributes
        if name.startswith("on") or name == "srcset"
    ]
    images = page.all("img")
    assert len(images) == 4
    for attributes in images:
        kind, _, data = (attributes["src"] or "").partition(",")
        assert kind == "data:image/png;base64"
        height, width, _ = imread(io.BytesIO(base64.b64decode(data, validate=True))).shape
        assert min(height, width) > 300


def test_figures_are_in_the_page_and_in_files(out):
    page = parsed(out)
    files = {
        path.name: base64.b64encode(path.read_bytes()).decode()
        for path in (out / "figures").iterdir()
    }
    assert set(files) == {"summary.png", "cosine.png", "accuracy.png", "magnitudes.png"}
    assert {(attributes["src"] or "").partition(",")[2] for attributes in page.all("img")} == set(
        files.values()
    )


def test_the_page_is_accessible(out):
    page = parsed(out)
    assert page.source.startswith("<!DOCTYPE html>")
    assert page.all("html") == [{"lang": "en"}]
    assert all(attributes["scope"] in {"row", "col"} for attributes in page.all("th"))
    assert len(page.all("caption")) >= 1
    alts = [attributes["alt"] or "" for attributes in page.all("img")]
    rates = table_rows(read_results(out / "results.csv"))
    assert any(f"mmpareto {100 * rates[4].joint.mean:.1f}%" in alt for alt in alts)
    assert all(len(alt) > 40 for alt in alts)
    assert next(tag for tag, _ in page.tags if tag in {"h1", "h2", "h3"}) == "h1"
    assert len(page.all("h1")) == 1


def test_the_page_says_how_to_reproduce_it_and_what_to_beware_of(out):
    words = parsed(out).words
    assert "mmpareto compare --out 'a folder'" in words
    assert "epochs: 30" in words
    assert "mmpareto 0.1.0, torch 2.13.0" in words
    assert "cg-digits is a reconstruction" in words
    assert "A constant gamma does nothing under Adam" in words
    assert "Run mmpareto-seed0." in words
    assert "Encoders of mmpareto, held fixed." in words


def test_failed_cells_are_listed(out):
    assert parsed(out).tables[1] == [["method", "seed", "error"], ["mgda", "3", "loss became NaN"]]
    (out / "failures.json").write_text("[]")
    assert "Failed trainings" not in parsed(out).words


def test_failed_trainings_are_named_beside_the_table(out):
    sentence = "Failed and in no number here: mgda (seed 3)."
    assert sentence in parsed(out).words
    assert sentence in " ".join(printed(out).split())
    (out / "failures.json").write_text("[]")
    assert "Failed and" not in parsed(out).words
    assert "Failed and" not in printed(out)


def test_names_steer_no_terminal(tmp_path):
    name = "left\x1b]0;taken\x07eye\u202e"
    write_comparison(tmp_path, methods=("uniform", name), modalities=(name, "b"), dataset=name)
    (tmp_path / "failures.json").write_text(
        json.dumps([{"method": name, "seed": 0, "error": name}])
    )
    for shown in (printed(tmp_path, width=400), write_report(tmp_path).read_text()):
        assert "left\\x1b]0;taken\\x07eye\\u202e" in shown
        assert all(line.isprintable() for line in shown.split("\n"))


def test_writing_again_gives_the_same_bytes(out, tmp_path):
    first = write_report(out).read_bytes()
    assert write_report(str(out)).read_bytes() == first
    copy = shutil.copytree(out, tmp_path / "elsewhere")
    assert write_report(copy).read_bytes() == first
    assert sorted(path.name for path in out.iterdir() if path.name.startswith(".")) == []


def test_names_are_text_and_never_markup(tmp_path):
    write_comparison(
        tmp_path, methods=("uniform", NASTY), modalities=(NASTY, "_b"), dataset=f"{NASTY}data"
    )
    (tmp_path / "config.yaml").write_text(f"notes: |\n  {NASTY}\n")
    (tmp_path / "environment.json").write_text(json.dumps({NASTY: NASTY, "command": NASTY}))
    (tmp_path / "failures.json").write_text(
        json.dumps([{"method": NASTY, "seed": 0, "error": NASTY}])
    )
    page = parsed(tmp_path)
    assert not any("onclick" in attributes for _, attributes in page.tags)
    assert page.tables[0][2][0] == NASTY
    assert page.tables[0][0][3] == NASTY
    assert [cell for row in page.tables[1] for cell in row].count(NASTY) == 2
    assert page.tables[2] == [[NASTY, NASTY]]
    assert NASTY in printed(tmp_path, width=400)


def test_an_empty_folder_still_gives_a_report(tmp_path):
    page = parsed(tmp_path)
    assert page.all("img") == []
    assert page.tables == []
    assert "No training has a test accuracy yet" in page.words
    assert page.words.count("Not drawn:") == 4
    assert "The configuration was not recorded." in page.words
    assert "The environment was not recorded." in page.words
    assert "cannot be told: no test results of mmpareto and uniform." in page.words
    assert "nothing to compare" in printed(tmp_path)


def test_a_comparison_in_which_all_failed_still_gives_a_report(tmp_path):
    write_results(tmp_path / "results.csv", [])
    (tmp_path / "failures.json").write_text(
        json.dumps([{"method": "uniform", "seed": 0, "error": "a\nb"}])
    )
    assert parsed(tmp_path).tables == [[["method", "seed", "error"], ["uniform", "0", "a\nb"]]]


def test_missing_cells_are_told(tmp_path):
    found = [
        r
        for r in results()
        if (r.method, r.seed) not in {("mmpareto", 1), ("mmpareto", 4), ("joint", 0)}
    ]
    write_results(
        tmp_path / "results.csv", [r for r in found if r.method != "joint" or r.seed == 2]
    )
    header, *rows = parsed(tmp_path).tables[0]
    cells = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert [cells[name]["seeds"] for name in ("joint", "uniform", "mmpareto")] == ["1", "5", "3"]
    assert cells["joint"]["joint"].isdecimal() is False
    assert "±" not in cells["joint"]["joint"]
    assert cells["joint"]["joint minus\nuniform (points)"].endswith("\nnot resolved")
    assert "[" not in cells["joint"]["joint minus\nuniform (points)"]


def test_seeds_without_a_partner_are_told(tmp_path):
    write_results(
        tmp_path / "results.csv", [r for r in results() if r.method != "uniform" or r.seed < 3]
    )
    rows = parsed(tmp_path).tables[0][1:]
    assert all("\n3 of 5 seeds paired" in row[3] for row in rows if row[0] != "uniform")


def test_the_first_run_with_geometry_is_shown(tmp_path):
    write_comparison(tmp_path)
    shutil.move(tmp_path / "runs" / "mmpareto-seed0", tmp_path / "runs" / "mmpareto-seed3")
    assert "Run mmpareto-seed3." in parsed(tmp_path).words
    shutil.rmtree(tmp_path / "runs" / "mmpareto-seed3")
    assert "Run uniform-seed0." in parsed(tmp_path).words
    shutil.rmtree(tmp_path / "runs")
    assert "Not drawn: no geometry.csv was found under runs/." in parsed(tmp_path).words


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("results.csv", "a,b\n", r"results\.csv, row 1: expected the columns"),
        ("magnitudes.csv", "method\nx\n", r"magnitudes\.csv, row 1: expected the columns"),
        (
            "runs/mmpareto-seed0/geometry.csv",
            f"{GEOMETRY}\n1,a,0,2,1,1\n",
            r"row 2: column `conflict` should be 0 or 1",
        ),
        ("config.yaml", "a: [", r"config\.yaml should be YAML"),
        ("config.yaml", "!!python/object:os.system x", r"config\.yaml should be YAML"),
        ("environment.json", "{", r"environment\.json should be JSON"),
        ("environment.json", "[]", r"environment\.json should hold a dict. Found a list"),
        (
            "failures.json",
            '[{"seed": 1}]',
            r"failures\.json should hold cells with 'method', 'seed' and 'error'",
        ),
        ("failures.json", "[3]", r"failures\.json should hold cells with"),
    ],
)
def test_a_malformed_file_is_named(out, name, content, message):
    (out / name).write_text(content)
    with pytest.raises(MMParetoError, match=message):
        write_report(out)
    assert not (out / "report.html").exists()


def test_no_folder_is_an_error(tmp_path):
    with pytest.raises(MMParetoError, match="should be the folder of a comparison"):
        write_report(tmp_path / "absent")


def test_several_data_sets_are_an_error(tmp_path):
    write_results(tmp_path / "results.csv", results() + results(dataset="cg-mnist"))
    with pytest.raises(MMParetoError, match="Report one data set at a time"):
        write_report(tmp_path)


def test_the_table_fits_100_columns_without_colour_codes(out, capsys):
    print_table(out)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    assert "\x1b" not in shown
    assert shown.count("scaled-uniform  ") == 1  # one table, not split
    assert "…" not in shown


def test_a_narrow_console_gets_the_table_in_parts(out):
    shown = printed(out, width=60)
    assert max(map(len, shown.splitlines())) <= 60
    assert len([line for line in shown.splitlines() if line.startswith("scaled-uniform ")]) == 3
    for row in build_table(read_results(out / "results.csv")).rows:
        assert all(line in shown for cell in row for line in cell.split("\n"))


def test_results_are_printed_as_their_folder_is(out):
    (out / "failures.json").write_text("[]")  # which results alone do not tell
    assert printed(read_results(out / "results.csv")) == printed(out)


def test_a_terminal_without_unicode_gets_plain_characters(out):
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_table(out, Console(file=file, width=100))
    file.seek(0)
    assert re.search(r"uniform +\|7\d\.\d \+-\d\.\d", file.read())


CHROMIUM = shutil.which("chromium")
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync --dump-dom"""
# A frame, since the browser makes no window narrower than 500 pixels. It loads before the page
# around it does.
PROBE = """<!DOCTYPE html>
<iframe width="{width}" height="900" style="border: 0" srcdoc="{report}"></iframe>
<script>
onload = () => {{
  const inner = document.querySelector("iframe").contentWindow;
  const page = inner.document.documentElement;
  const isDrawn = image => image.naturalWidth > 0 && image.clientWidth > 0;
  const drawn = [...inner.document.images].filter(isDrawn).length;
  const fits = page.scrollWidth <= page.clientWidth;
  document.body.dataset.probe = [drawn, inner.innerWidth, fits].join();
}};
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs the browser chromium")
@pytest.mark.parametrize("width", [400, 1200])
def test_a_browser_shows_every_figure_and_no_sideways_scrolling(out, tmp_path, width):
    report = html.escape(write_report(out).read_text(encoding="utf-8"))
    (tmp_path / "probe.html").write_text(PROBE.format(width=width, report=report), encoding="utf-8")
    command = [
        CHROMIUM,
        *FLAGS.split(),
        "--window-size=1400,1000",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    shown = subprocess.run(
        [*command, (tmp_path / "probe.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert re.findall(r'data-probe="(.*?)"', shown.stdout) == [f"4,{width},true"]
