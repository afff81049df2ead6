"""The page with what was answered last."""

from typing import Any

import streamlit as st

from services.frontend.asking import Api, ApiTrouble
from services.frontend.choice import choose
from services.frontend.said import KeptPrediction, UseCase

LIMITS = (20, 50, 200)


def show_history_page(api: Api) -> None:
    """Draws the page."""
    chosen = choose(api)
    if chosen is None:
        return
    name, title, use_case = chosen
    st.title("Last predictions", anchor=False)
    st.html(f'<p class="my-lead">What was answered last for {title}, by whichever client asked.</p>')
    with st.container(horizontal=True, vertical_alignment="bottom"):
        limit = st.segmented_control("Show", LIMITS, default=LIMITS[0], required=True, format_func="last {}".format)
        st.button("Refresh", icon=":material/refresh:")
    try:
        predictions = api.last_predictions(name, limit)
    except ApiTrouble as trouble:
        for words in trouble.sentences:
            st.error(words, icon=":material/error:")
        return
    _show(use_case, predictions)


def _show(use_case: UseCase, predictions: tuple[KeptPrediction, ...]) -> None:
    if not predictions:
        with st.container(border=True):
            st.html(
                '<div class="my-empty"><div class="my-empty-mark"></div><b>Nothing was asked yet</b>'
                "<span>Every answer, from this page or from a program, is listed here.</span></div>"
            )
        return
    zone = st.context.timezone or "UTC"
    st.dataframe(
        [_row(use_case, prediction) for prediction in predictions],
        hide_index=True,
        column_config={
            "time": st.column_config.DatetimeColumn(
                f"Time ({zone.replace('_', ' ')})", format="YYYY-MM-DD HH:mm:ss", timezone=zone
            ),
            "answer": st.column_config.TextColumn(use_case.target.title or use_case.target.name),
            "interval": st.column_config.TextColumn("Interval"),
            "probability": st.column_config.ProgressColumn("Probability", min_value=0, max_value=100, format="%.1f %%"),
            "version": st.column_config.NumberColumn("Version", format="%d"),
            "key": st.column_config.TextColumn("Record key"),
            "request": st.column_config.TextColumn("Request id"),
        },
    )


def _row(use_case: UseCase, prediction: KeptPrediction) -> dict[str, Any]:
    row = {
        "time": prediction.created_at,
        "answer": use_case.target.title_of(prediction.prediction),
        **_interval(use_case, prediction),
        "probability": None if prediction.probability is None else prediction.probability * 100,
        "version": prediction.model_version,
        "key": prediction.record_key or "",
        "request": prediction.request_id,
    }
    return row if use_case.target.classes else {name: value for name, value in row.items() if name != "probability"}


def _interval(use_case: UseCase, prediction: KeptPrediction) -> dict[str, str]:
    """The interval in words, where the model that is served has intervals."""
    if use_case.coverage is None:
        return {}
    if prediction.lower is None or prediction.upper is None:
        return {"interval": ""}
    low, high = map(use_case.target.title_of, (prediction.lower, prediction.upper))
    return {"interval": f"{low} to {high}"}
