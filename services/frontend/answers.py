"""How an answer looks: in words, its probability as a picture."""

import json
from html import escape

import streamlit as st

from services.frontend.form import Filled
from services.frontend.picture import show_picture
from services.frontend.said import Answer, Reliability, UseCase

MOST_CLASSES = 12
LEAST_PERCENT = 0.1


def show_answer(name: str, use_case: UseCase, filled: Filled, answer: Answer) -> None:
    """Draws an answer with its probability, version, warnings and request id, and offers it as JSON."""
    with st.container(border=True, key="answer"):
        if filled.picture is not None:
            show_picture(filled.picture)
        st.html(headline(use_case, answer) + interval(use_case, answer) + probability_picture(use_case, answer))
        for warning in answer.warnings:
            st.warning(with_title(use_case, warning), icon=":material/warning:")
        st.html(facts(answer))
        with st.container(horizontal=True):
            st.download_button(
                "Download as JSON",
                as_json(name, filled, answer),
                file_name=f"{name}-{answer.request_id}.json",
                mime="application/json",
                icon=":material/download:",
                on_click="ignore",
            )
        if use_case.reliability is not None:
            with st.expander("How reliable the probabilities are"):
                st.html(reliability_picture(use_case, use_case.reliability))
        with st.expander("What was sent and answered"):
            st.code(as_json(name, filled, answer), language="json")


def show_nothing_yet() -> None:
    """Draws the place where the answer will be."""
    with st.container(border=True, key="answer"):
        st.html(
            '<div class="my-empty"><div class="my-empty-mark"></div><b>No answer yet</b>'
            "<span>Fill in the form, or take the example as it is, and press Predict.</span></div>"
        )


def headline(use_case: UseCase, answer: Answer) -> str:
    """The answer in words."""
    title = use_case.target.title or use_case.target.name
    said = use_case.target.title_of(answer.prediction)
    return f'<div class="my-eyebrow">{escape(title)}</div><div class="my-said" role="status">{escape(said)}</div>'


def interval(use_case: UseCase, answer: Answer) -> str:
    """The interval around a value in words, if there is one."""
    if answer.lower is None or answer.upper is None or use_case.coverage is None:
        return ""
    low, high = (escape(use_case.target.title_of(end)) for end in (answer.lower, answer.upper))
    return (
        f'<div class="my-interval">{low} to {high}</div><div class="my-scale-foot"><span>Meant to enclose the true '
        f"value in {100 * use_case.coverage:g} % of all cases.</span></div>"
    )


def reliability_picture(use_case: UseCase, found: Reliability) -> str:
    """The share that came true and the mean probability, a bar for each group of test records; and the metrics."""
    classes = use_case.target.classes
    what = use_case.target.title_of(classes[1]) if len(classes) == 2 else "the likeliest class"
    rows = "".join(
        f'<div class="my-bar"><span>{each.records} records, said {_in_words(_percent(each.probability))}</span>'
        f'<b>came true {_in_words(_percent(each.share))}</b><div class="my-scale" role="img" aria-label="came true '
        f'{_percent(each.share):.1f} %, said {_percent(each.probability):.1f} %"><div class="my-fill" '
        f'style="width:{_percent(each.share):.2f}%"></div><div class="my-tick" '
        f'style="left:{_percent(each.probability):.2f}%"></div></div></div>'
        for each in found.bins
    )
    numbers = (
        ("Calibration error", found.calibration_error),
        ("Log loss", found.log_loss),
        ("Brier score", found.brier_score),
    )
    facts = "".join(
        f"<span>{name}</span><b>{each.value:.3f} ({each.low:.3f} to {each.high:.3f})</b>" for name, each in numbers
    )
    return (
        f"<p>Test records, grouped by their probability of <b>{escape(what)}</b>: the bar is the share for which it "
        f'came true, the mark the mean probability.</p><div class="my-bars">{rows}</div>'
        f'<div class="my-facts">{facts}</div>'
    )


def probability_picture(use_case: UseCase, answer: Answer) -> str:
    """The probability as a picture: of two classes a scale with the threshold, of more a bar for each."""
    if answer.probability is None:
        return ""
    if use_case.threshold is None:
        return _bars(use_case, answer)
    positive = use_case.target.title_of(use_case.target.classes[1])
    share, threshold = _percent(answer.probability), _percent(use_case.threshold)
    words = _in_words(share)
    return (
        f'<div class="my-scale-head"><span>Probability of <b>{escape(positive)}</b></span><b>{words}</b></div>'
        f'<div class="my-scale" role="img" aria-label="{words}, threshold {threshold:.1f} %">'
        f'<div class="my-fill" style="width:{share:.2f}%"></div>'
        f'<div class="my-tick" style="left:{threshold:.2f}%"></div></div>'
        f'<div class="my-scale-foot"><span>0 %</span><span>{escape(positive)} from {threshold:.1f} % on</span>'
        "<span>100 %</span></div>"
    )


def facts(answer: Answer) -> str:
    """Who answered, and under which name the answer is kept."""
    return (
        f'<div class="my-facts"><span>Model version</span><b>{answer.model_version}</b>'
        f'<span>Request id</span><b class="my-mono">{escape(answer.request_id)}</b></div>'
    )


def with_title(use_case: UseCase, words: str) -> str:
    """What the API says of a field, with the field's title in place of its name."""
    name, _, rest = words.partition(":")
    titles = {field.name: field.title for field in use_case.features}
    return f"**{titles[name]}**:{rest}" if name in titles and rest else words


def as_json(name: str, filled: Filled, answer: Answer) -> str:
    """What was asked and answered, for a file. A picture is not in it again."""
    record = {field: "(a picture)" if _is_picture(filled, value) else value for field, value in filled.record.items()}
    content = {"use_case": name, "record": record, "answer": answer.model_dump(mode="json", exclude_none=True)}
    return json.dumps(content, indent=2, ensure_ascii=False)


def _is_picture(filled: Filled, value: object) -> bool:
    return filled.picture is not None and isinstance(value, str) and len(value) > len(filled.picture)


def _bars(use_case: UseCase, answer: Answer) -> str:
    shares = sorted((answer.probabilities or {}).items(), key=lambda share: -share[1])
    rows = "".join(
        f'<div class="my-bar"><span>{escape(use_case.target.title_of(label))}</span><b>{_in_words(_percent(share))}</b>'
        f'<div class="my-scale"><div class="my-fill{"" if place == 0 else " my-other"}" '
        f'style="width:{_percent(share):.2f}%"></div></div></div>'
        for place, (label, share) in enumerate(shares[:MOST_CLASSES])
    )
    more = len(shares) - MOST_CLASSES
    rest = (
        f'<div class="my-scale-foot"><span>and {more} classes that are less probable</span></div>' if more > 0 else ""
    )
    return f'<div class="my-bars">{rows}{rest}</div>'


def _in_words(percent: float) -> str:
    """As HTML. What is not quite certain does not look as if it were."""
    if 0 < percent < LEAST_PERCENT:
        return f"&lt; {LEAST_PERCENT} %"
    return f"&gt; {100 - LEAST_PERCENT} %" if 100 - LEAST_PERCENT < percent < 100 else f"{percent:.1f} %"


def _percent(share: float) -> float:
    return min(max(share, 0.0), 1.0) * 100
