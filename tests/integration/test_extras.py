import pytest

from modelyard.catalog import find_use_case
from modelyard.errors import BadInput
from modelyard.steps import extras
from modelyard.steps.extras import check_extra, missing_of


def test_what_is_installed_is_not_missing() -> None:
    assert missing_of("tensorflow") == []
    check_extra(find_use_case("skin_cancer"))


def test_what_is_missing_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ['no-such-library>=1; extra == "tensorflow"', "numpy>=2", 'other; extra == "api"']
    monkeypatch.setattr(extras, "requires", lambda _: lines)
    with pytest.raises(BadInput, match="the extra tensorflow, and no-such-library cannot be found here: run `make"):
        check_extra(find_use_case("skin_cancer"))


def test_who_needs_nothing_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "requires", lambda _: pytest.fail("asked"))
    check_extra(find_use_case("loan_approval"))
