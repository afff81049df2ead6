"""Whether a borrower gets into serious trouble within two years: the public table "Give Me Some Credit".

The public file is not ours to ship: it is read from `raw/cs-training.csv` below `DATA_URL` (`data/raw/cs-training.csv`
without Docker). The profile `sample` has records of the same shape, made by `data/make_credit_risk.py`.
"""

from modelyard.contract import Derived, Feature, FeatureType, Limits, Target, TaskKind, Term
from modelyard.use_case import Candidate, Profile, RecordKey, UseCase

LATE_30_59 = "number_of_time_30_59_days_past_due_not_worse"
LATE_60_89 = "number_of_time_60_89_days_past_due_not_worse"
LATE_90 = "number_of_times_90_days_late"

# 96 and 98 stand for what the credit bureau would not say.
COUNT = Limits(minimum=0, maximum=1000)

USE_CASE = UseCase(
    name="credit_risk",
    title="Credit risk",
    description="Says whether a borrower will be 90 days late or worse within two years. Of those with "
    "similar probabilities, that share gets into trouble.",
    kind=TaskKind.BINARY,
    key=RecordKey(name="id", aliases=("", "Unnamed: 0")),
    features=(
        Feature(
            name="revolving_utilization_of_unsecured_lines",
            type=FeatureType.NUMBER,
            title="Use of credit lines",
            unit="of the limits",
            help="Balance of credit cards and lines without security, as a share of their limits: 0.3 is 30 %.",
            aliases=("RevolvingUtilizationOfUnsecuredLines",),
            valid=Limits(minimum=0),
        ),
        Feature(
            name="age",
            type=FeatureType.INTEGER,
            unit="years",
            help="Age of the borrower.",
            valid=Limits(minimum=18, maximum=120),
        ),
        Feature(
            name=LATE_30_59,
            type=FeatureType.INTEGER,
            title="Times 30 to 59 days late",
            help="How often in two years a payment was 30 to 59 days late, but no worse.",
            aliases=("NumberOfTime30-59DaysPastDueNotWorse",),
            valid=COUNT,
        ),
        Feature(
            name="debt_ratio",
            type=FeatureType.NUMBER,
            title="Debt ratio",
            unit="of the income",
            help="Monthly debt payments, alimony and living costs, divided by the monthly income.",
            aliases=("DebtRatio",),
            valid=Limits(minimum=0),
        ),
        Feature(
            name="monthly_income",
            type=FeatureType.NUMBER,
            title="Monthly income",
            unit="USD",
            help="Income in a month, if it is known.",
            nullable=True,
            aliases=("MonthlyIncome",),
            valid=Limits(minimum=0),
        ),
        Feature(
            name="number_of_open_credit_lines_and_loans",
            type=FeatureType.INTEGER,
            title="Open credit lines and loans",
            help="Loans in instalments and lines of credit, such as cards.",
            aliases=("NumberOfOpenCreditLinesAndLoans",),
            valid=COUNT,
        ),
        Feature(
            name=LATE_90,
            type=FeatureType.INTEGER,
            title="Times 90 days late",
            help="How often a payment was 90 days late or more.",
            aliases=("NumberOfTimes90DaysLate",),
            valid=COUNT,
        ),
        Feature(
            name="number_real_estate_loans_or_lines",
            type=FeatureType.INTEGER,
            title="Real estate loans",
            help="Mortgages and real estate loans, home equity lines of credit included.",
            aliases=("NumberRealEstateLoansOrLines",),
            valid=COUNT,
        ),
        Feature(
            name=LATE_60_89,
            type=FeatureType.INTEGER,
            title="Times 60 to 89 days late",
            help="How often in two years a payment was 60 to 89 days late, but no worse.",
            aliases=("NumberOfTime60-89DaysPastDueNotWorse",),
            valid=COUNT,
        ),
        Feature(
            name="number_of_dependents",
            type=FeatureType.INTEGER,
            title="Dependents",
            help="Spouse, children and others in the family who are dependent, if it is known.",
            nullable=True,
            aliases=("NumberOfDependents",),
            valid=COUNT,
        ),
    ),
    target=Target(
        name="serious_delinquency",
        title="Serious delinquency in two years",
        classes=(0, 1),
        aliases=("SeriousDlqin2yrs",),
        class_titles=("Pays", "Serious trouble"),
    ),
    derived=(
        Derived(
            name="total_late_days",
            title="Times late, all together",
            terms=(Term(features=(LATE_30_59,)), Term(features=(LATE_60_89,)), Term(features=(LATE_90,))),
        ),
        Derived(
            name="income_minus_expenses",
            title="Income minus expenses",
            terms=(Term(features=("monthly_income",)), Term(weight=-1, features=("monthly_income", "debt_ratio"))),
        ),
        Derived(
            name="weighted_lateness",
            title="Times late, the later the more",
            terms=(
                Term(weight=0.1, features=(LATE_30_59,)),
                Term(weight=0.2, features=(LATE_60_89,)),
                Term(weight=0.7, features=(LATE_90,)),
            ),
        ),
    ),
    dropped=(LATE_30_59, LATE_60_89, LATE_90, "monthly_income", "debt_ratio"),
    source="raw/cs-training.csv",
    profiles={"sample": Profile(source="credit_risk.csv")},
    sample="sample",
    candidates=(
        Candidate(
            name="gradient_boosting",
            estimator="sklearn.ensemble.GradientBoostingClassifier",
            # It ends when ten more trees make the answers on a tenth of the records, kept apart, no better.
            parameters={"n_estimators": 1000, "learning_rate": 0.01, "max_depth": 4, "n_iter_no_change": 10},
            impute="mean",
            positive_share=0.5,
        ),
        # Of all records, so many that slower boosting would take minutes.
        Candidate(
            name="histogram_gradient_boosting",
            estimator="sklearn.ensemble.HistGradientBoostingClassifier",
            parameters={"max_iter": 200, "learning_rate": 0.05, "max_leaf_nodes": 15},
            impute="mean",
        ),
    ),
    # Few borrowers get into trouble: what matters is who comes first.
    metric="average_precision",
    schedule="*/10 * * * *",
)
