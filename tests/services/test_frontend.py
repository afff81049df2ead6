"""The frontend's pages, driven without a browser, on a real API with a real database."""

import base64
import hashlib
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from modelyard.contract import Contract, Feature, FeatureType, Target, TaskKind
from modelyard.embedded.postgres import Postgres
from modelyard.settings import Settings
from services.frontend import said
from services.frontend.answers import interval, probability_picture, reliability_picture
from tests.services.folder_source import FolderSource
from tests.services.made_models import EVERY_RECORD, LOAN_RECORD, every_type_contract, loan_contract, put
from tests.services.running_api import REPOSITORY, RunningApi, free_port, running_api, wait_until

APP = REPOSITORY / "services" / "frontend" / "app.py"
PATIENCE_SECONDS = 60
MARKUP = "<img src=x onerror=alert(1)>"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:streamlit")


@pytest.fixture(scope="module")
def api(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    source = FolderSource(tmp_path_factory.mktemp("registry"))
    contracts = [loan_contract(threshold=0.4), *(every_type_contract(kind) for kind in (*KINDS, TaskKind.REGRESSION))]
    for contract in contracts:
        put(source, 1, contract, LOAN_RECORD if contract.use_case == "loan_approval" else EVERY_RECORD)
    put(source, 1, odd_contract(), {"mark_up": 1.0})
    put(source, 2, loan_contract(threshold=0.4), LOAN_RECORD)
    source.challenge(loan_approval=2)
    names = [*(contract.use_case for contract in contracts), "odd_words"]
    source.point(**dict.fromkeys(names, 1), no_model_yet=None)
    arguments = ["tests.services.folder_api", str(source.folder)]
    broken = tmp_path_factory.mktemp("use_cases")
    (broken / "broken.py").write_text(f"\nraise ValueError({MARKUP!r})\n")
    home, url = tmp_path_factory.mktemp("home"), postgres.url("raw_data", "api")
    with running_api(arguments, home, url, use_cases_path=broken) as running:
        for name in names:
            running.wait_for_version(1, name)
        yield running


KINDS = (TaskKind.BINARY, TaskKind.MULTICLASS)


def odd_contract() -> Contract:
    """Words that a page must not take for anything else."""
    return Contract(
        use_case="odd_words",
        title=MARKUP,
        description=MARKUP,
        kind=TaskKind.BINARY,
        features=(Feature(name="mark_up", type=FeatureType.NUMBER, title=MARKUP, help=MARKUP),),
        target=Target(name="outcome", title=MARKUP, classes=("no", MARKUP)),
        example={"mark_up": 1.0},
    )


@pytest.fixture
def page(api: RunningApi, raw_engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[AppTest]:
    assert raw_engine
    yield from _pages(str(api.client.base_url), monkeypatch, tmp_path)


def _pages(api_url: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[AppTest]:
    monkeypatch.setenv("API_URL", api_url)
    monkeypatch.setenv("MODELYARD_HOME", str(folder))
    st.cache_resource.clear()
    yield AppTest.from_file(str(APP), default_timeout=PATIENCE_SECONDS)
    st.cache_resource.clear()


def opened(page: AppTest, use_case: str) -> AppTest:
    page.session_state["use_case"] = use_case
    return shown(page.run())


def shown(page: AppTest) -> AppTest:
    assert not page.exception, [each.value for each in page.exception]
    return page


def sent(page: AppTest) -> AppTest:
    return shown(next(button for button in page.button if button.label == "Predict").click().run())


def words(page: AppTest) -> str:
    """All that the page says in HTML of ours."""
    bodies = [str(each.proto.body) for each in page.get("html")]
    return " ".join(body for body in bodies if not body.startswith("<style"))


def widget(page: AppTest, label: str) -> Any:
    widgets = [*page.number_input, *page.text_input, *page.selectbox, *page.radio]
    return next(each for each in widgets if each.label == label)


def errors(page: AppTest) -> str:
    return " ".join(each.value for each in page.error)


def test_the_form_has_titles_units_limits_help_and_begins_with_the_example(page: AppTest) -> None:
    opened(page, "loan_approval")
    assert page.title[0].value == "Loan approval"
    age = widget(page, "Age (years)")
    assert age.value == 35
    assert "Age of the applicant." in age.help
    assert "Can be 18 to 120." in age.help
    assert "The model was trained on 18 to 69." in age.help
    assert widget(page, "Annual income (USD)").value == 60000.0
    default = widget(page, "Past default")
    assert (default.value, default.help) == (False, "Whether the applicant has ever failed to pay a loan back.")


def test_the_answer_has_class_title_probability_threshold_version_and_request_id(
    page: AppTest, api: RunningApi
) -> None:
    sent(opened(page, "loan_approval"))
    kept = api.client.get("/predictions/loan_approval").json()["predictions"][0]
    probability = kept["probabilities"]["1"]
    assert "Approved" in words(page)
    assert f"{probability * 100:.1f} %" in words(page)
    assert "Approved from 40.0 % on" in words(page)
    assert kept["request_id"] in words(page)
    assert '"use_case": "loan_approval"' in page.code[0].value
    assert not page.error


def test_what_the_model_has_not_seen_is_a_warning_beside_the_answer(page: AppTest) -> None:
    opened(page, "loan_approval")
    widget(page, "Age (years)").set_value(100)
    sent(page)
    assert "**Age**: 100 is outside of what the model was trained on" in page.warning[0].value


def test_the_fields_come_in_the_order_of_the_contract(page: AppTest) -> None:
    opened(page, "loan_approval")
    labels = [each.label for each in page.number_input]
    assert labels[:3] == ["Age (years)", "Annual income (USD)", "Credit score"]


def test_what_cannot_be_is_a_sentence_with_the_fields_title(page: AppTest) -> None:
    opened(page, "loan_approval")
    widget(page, "Age (years)").set_value(150)
    sent(page)
    assert "**Age**: Must be a whole number (18 to 120 years), or left empty, not 150." in errors(page)


def test_what_is_missing_is_a_sentence_with_the_fields_title(page: AppTest) -> None:
    opened(page, "loan_approval")
    widget(page, "Loan duration (years)").set_value(None)
    sent(page)
    assert "**Loan duration**: Is missing: it must be a whole number (1 to 50 years)." in errors(page)
    assert "Traceback" not in errors(page)


def test_what_is_not_known_is_left_out(page: AppTest) -> None:
    opened(page, "loan_approval")
    widget(page, "Annual income (USD)").set_value(None)
    sent(page)
    assert not page.error
    assert "annual_income" not in page.code[0].value


@pytest.mark.parametrize("kind", [*KINDS, TaskKind.REGRESSION])
def test_every_kind_of_task_and_type_of_feature_has_a_form_and_an_answer(page: AppTest, kind: TaskKind) -> None:
    opened(page, f"every_{kind}")
    assert widget(page, "Colour").options == ["red", "green", "blue, dark"]
    assert widget(page, "Validate").options == ["Yes", "No", "Not known"]
    assert widget(page, "City").value == "Graz"
    widget(page, "Colour").set_value("blue, dark")
    widget(page, "City").set_value("Wien")
    widget(page, "Validate").set_value(None)
    sent(page)
    assert not page.error
    assert '"colour": "blue, dark"' in page.code[0].value
    assert '"city": "Wien"' in page.code[0].value
    assert '"validate"' not in page.code[0].value
    assert ("%" in words(page)) == (kind is not TaskKind.REGRESSION)
    assert ("EUR" in words(page)) == (kind is TaskKind.REGRESSION)


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "0.0 %"),
        (0.0004, "&lt; 0.1 %"),
        (0.001, "0.1 %"),
        (0.743, "74.3 %"),
        (0.99996, "&gt; 99.9 %"),
        (1.0, "100.0 %"),
    ],
)
def test_what_is_not_quite_certain_does_not_look_so(share: float, words: str) -> None:
    target = said.Target(name="outcome", classes=("no", "yes"))
    use_case = said.UseCase(model_version=1, loaded_at=datetime.now(UTC), features=(), target=target, threshold=0.5)
    answer = said.Answer(prediction="yes", probability=share, model_version=1, request_id="one")
    assert f"<b>{words}</b>" in probability_picture(use_case, answer)


def test_an_interval_is_said_with_how_often_it_holds() -> None:
    target = said.Target(name="price", unit="EUR")
    use_case = said.UseCase(model_version=1, loaded_at=datetime.now(UTC), features=(), target=target, coverage=0.9)
    answer = said.Answer(prediction=2.0, lower=1.5, upper=2.25, model_version=1, request_id="one")
    assert "1.5 EUR to 2.25 EUR" in interval(use_case, answer)
    assert "90 % of all cases" in interval(use_case, answer)
    assert interval(use_case, answer.model_copy(update={"lower": None})) == ""


def test_how_far_probabilities_come_true_is_drawn() -> None:
    target = said.Target(name="outcome", classes=(0, 1), class_titles=("Pays", "Serious <trouble>"))
    use_case = said.UseCase(model_version=1, loaded_at=datetime.now(UTC), features=(), target=target, threshold=0.5)
    number = {"value": 0.0123, "low": 0.01, "high": 0.02}
    bins = [{"records": 150, "probability": 0.02, "share": 0.013}, {"records": 150, "probability": 0.4, "share": 0.42}]
    found = said.Reliability.model_validate(
        {"log_loss": number, "brier_score": number, "calibration_error": number, "bins": bins}
    )
    drawn = reliability_picture(use_case, found)
    assert "Serious &lt;trouble&gt;" in drawn
    assert "150 records, said 2.0 %" in drawn
    assert "came true 42.0 %" in drawn
    assert "0.012 (0.010 to 0.020)" in drawn


def test_the_key_goes_with_the_record(page: AppTest, api: RunningApi) -> None:
    opened(page, "loan_approval")
    widget(page, "Record key (id)").set_value("A-7")
    sent(page)
    assert api.client.get("/predictions/loan_approval").json()["predictions"][0]["record_key"] == "A-7"


def test_clear_and_example(page: AppTest) -> None:
    sent(opened(page, "loan_approval"))
    shown(next(button for button in page.button if button.label == "Clear").click().run())
    assert widget(page, "Age (years)").value is None
    assert "No answer yet" in words(page)
    shown(next(button for button in page.button if button.label == "Fill in the example").click().run())
    assert widget(page, "Age (years)").value == 35


def test_words_of_a_contract_are_words_and_never_markup(page: AppTest) -> None:
    sent(opened(page, "odd_words"))
    assert MARKUP not in words(page)
    assert "&lt;img" in words(page)


def history() -> None:
    """The page of the last predictions by itself: AppTest turns no pages."""
    from contextlib import closing

    from modelyard.settings import read_settings
    from services.frontend.asking import Api
    from services.frontend.history_page import show_history_page

    with closing(Api(str(read_settings().api_url))) as api:
        show_history_page(api)


@pytest.mark.usefixtures("page")
def test_the_last_predictions_are_listed(api: RunningApi) -> None:
    api.answer(LOAN_RECORD | {"id": 17})
    page = shown(AppTest.from_function(history, default_timeout=PATIENCE_SECONDS).run())
    row = page.dataframe[0].value.iloc[0]
    assert (row["key"], row["answer"], row["version"]) == ("17", "Approved", 1)


@pytest.mark.usefixtures("page")
def test_nothing_asked_yet_is_said() -> None:
    page = shown(AppTest.from_function(history, default_timeout=PATIENCE_SECONDS).run())
    assert "Nothing was asked yet" in words(page)


def test_a_platform_that_is_away_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for page in _pages(url, monkeypatch, tmp_path):
        shown(page.run())
        assert page.title[0].value == "The API has no answer"
        assert errors(page) == f"The API at {url} does not answer. Is the platform up?"


def overview() -> None:
    """The page of the platform by itself."""
    from contextlib import closing

    from modelyard.settings import read_settings
    from services.frontend.asking import Api
    from services.frontend.services_page import show_services_page

    with closing(Api(str(read_settings().api_url))) as api:
        show_services_page(api)


@pytest.mark.usefixtures("page")
def test_the_overview_calls_a_use_case_by_its_title() -> None:
    page = shown(AppTest.from_function(overview, default_timeout=PATIENCE_SECONDS).run())
    assert [title.value for title in page.title] == ["Platform"]
    assert "&lt;img" in words(page)
    assert "No model yet" in words(page)


@pytest.mark.usefixtures("page")
def test_the_overview_shows_the_challenger(api: RunningApi) -> None:
    wait_until(lambda: (api.health()["shadow"] or {}).get("asked", False), api.logged)
    page = shown(AppTest.from_function(overview, default_timeout=PATIENCE_SECONDS).run())
    assert "Challenger: version 2 is asked what version 1 is" in words(page)


@pytest.mark.usefixtures("page")
def test_the_overview_names_a_file_that_is_no_use_case() -> None:
    page = shown(AppTest.from_function(overview, default_timeout=PATIENCE_SECONDS).run())
    assert [each.value.rpartition("/")[2] for each in page.code] == [f"broken.py:2: {MARKUP}"]


def test_no_model_yet_says_what_to_do(postgres: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    source = FolderSource(tmp_path / "registry")
    source.point()
    arguments = ["tests.services.folder_api", str(source.folder)]
    with running_api(arguments, tmp_path / "home", postgres.url("raw_data", "api")) as running:
        for page in _pages(str(running.client.base_url), monkeypatch, tmp_path):
            shown(page.run())
            assert page.title[0].value == "No model answers yet"
            said = " ".join(each.value for each in page.markdown)
            assert "make demo" in said
            assert "**Loan approval**: no version is in production yet" in said


def test_the_key_of_the_settings_opens_the_api_and_without_it_a_sentence_says_so(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "registry").mkdir()
    source = FolderSource(tmp_path / "registry")
    source.point()
    arguments = ["tests.services.folder_api", str(source.folder)]
    keys = hashlib.sha256(b"open sesame").hexdigest()
    with running_api(arguments, tmp_path / "home", postgres.url("raw_data", "api"), api_keys=keys) as running:
        for key in ("", "open barley"):
            monkeypatch.setenv("API_KEY", key)
            for page in _pages(str(running.client.base_url), monkeypatch, tmp_path):
                shown(page.run())
                assert "this frontend has none that it allows: set API_KEY" in errors(page)
        monkeypatch.setenv("API_KEY", "open sesame")
        for page in _pages(str(running.client.base_url), monkeypatch, tmp_path):
            shown(page.run())
            assert page.title[0].value == "No model answers yet"


def test_no_use_case_is_named_in_the_frontends_code() -> None:
    names = {file.stem for file in (REPOSITORY / "src/modelyard/use_cases").glob("*.py")} - {"__init__"}
    assert names
    for file in (REPOSITORY / "services/frontend").rglob("*.py"):
        assert not [name for name in names if name in file.read_text(encoding="utf-8")], file


def test_no_larger_file_is_taken_than_the_api_takes() -> None:
    streamlit = tomllib.loads((REPOSITORY / "services" / "frontend" / ".streamlit" / "config.toml").read_text())
    largest = bytes(streamlit["server"]["maxUploadSize"] * 1024**2)
    assert len(base64.b64encode(largest)) == Settings(_env_file=None).api_picture_limit_bytes


@pytest.mark.parametrize(
    ("value", "words"), [(9999999, "9,999,999"), (1234567.5, "1,234,567.5"), (0.1 + 0.2, "0.3"), (12, "12")]
)
def test_a_large_number_keeps_its_digits(value: float, words: str) -> None:
    assert said.number(value) == words


@pytest.mark.parametrize(("bound", "host"), [("192.0.2.7", "192.0.2.7"), ("::1", "[::1]"), ("0.0.0.0", "127.0.0.1")])  # noqa: S104
def test_without_an_address_the_api_is_looked_for_where_it_is_bound(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bound: str, host: str
) -> None:
    port = free_port()
    monkeypatch.setenv("BIND_ADDRESS", bound)
    monkeypatch.setenv("API_PORT", str(port))
    for page in _pages("", monkeypatch, tmp_path):
        shown(page.run())
        assert f"The API at http://{host}:{port} " in errors(page)
