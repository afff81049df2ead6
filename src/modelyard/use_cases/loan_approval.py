"""Whether a loan is approved, from what the bank knows of the applicant."""

from modelyard.contract import Feature, FeatureType, Limits, Target, TaskKind
from modelyard.use_case import Candidate, RecordKey, UseCase

USE_CASE = UseCase(
    name="loan_approval",
    title="Loan approval",
    description="Says whether a loan is approved, from the applicant's income, credit history and the loan asked for.",
    kind=TaskKind.BINARY,
    key=RecordKey(name="id", aliases=("",)),
    features=(
        Feature(
            name="age",
            type=FeatureType.INTEGER,
            unit="years",
            help="Age of the applicant.",
            nullable=True,
            valid=Limits(minimum=18, maximum=120),
        ),
        Feature(
            name="annual_income",
            type=FeatureType.NUMBER,
            unit="USD",
            help="Income of the applicant in a year, before tax.",
            nullable=True,
            valid=Limits(minimum=0),
        ),
        Feature(
            name="credit_score",
            type=FeatureType.INTEGER,
            help="Credit score of the applicant.",
            nullable=True,
            valid=Limits(minimum=300, maximum=850),
        ),
        Feature(
            name="loan_amount",
            type=FeatureType.NUMBER,
            unit="USD",
            help="Amount that is asked for.",
            nullable=True,
            valid=Limits(minimum=0),
        ),
        Feature(
            name="loan_duration_years",
            type=FeatureType.INTEGER,
            title="Loan duration",
            unit="years",
            help="Time in which the loan is paid back.",
            valid=Limits(minimum=1, maximum=50),
        ),
        Feature(
            name="number_of_open_accounts",
            type=FeatureType.INTEGER,
            help="Accounts that the applicant has open.",
            nullable=True,
            valid=Limits(minimum=0, maximum=1000),
        ),
        Feature(
            name="had_past_default",
            type=FeatureType.BOOLEAN,
            title="Past default",
            help="Whether the applicant has ever failed to pay a loan back.",
        ),
    ),
    target=Target(name="loan_approval", classes=(0, 1), title="Loan approval", class_titles=("Refused", "Approved")),
    source="loan_approval.csv",
    # Those who once failed to pay are a few, and decided about differently.
    slices=("had_past_default",),
    candidates=(
        Candidate(
            name="logistic_regression",
            estimator="sklearn.linear_model.LogisticRegression",
            parameters={"max_iter": 1000},
            scale=True,
        ),
        Candidate(
            name="random_forest",
            estimator="sklearn.ensemble.RandomForestClassifier",
            parameters={"n_estimators": 100, "min_samples_leaf": 5},
        ),
        Candidate(
            name="histogram_gradient_boosting",
            estimator="sklearn.ensemble.HistGradientBoostingClassifier",
            parameters={"max_iter": 168, "max_depth": 6, "learning_rate": 0.05},
        ),
    ),
    schedule="@daily",
)
