"""Whether a picture of a skin lesion shows a malignant one."""

from collections.abc import Mapping

from modelyard.contract import Feature, FeatureType, Target, TaskKind
from modelyard.use_case import Candidate, Profile, Split, UseCase

# What the original's networks were trained with.
ORIGINAL = {
    "activation": "relu",
    "initializer": "glorot_uniform",
    "optimizer": "adam",
    "loss": "binary_crossentropy",
    "learning_rate": 1e-5,
    "batch_size": 64,
    "epochs": 2,
}
# What small pictures in small numbers need: as a batch has few of them, few epochs are enough steps.
SAMPLE = ORIGINAL | {"learning_rate": 5e-4, "batch_size": 16, "epochs": 4}


def image(side: int) -> tuple[Feature, ...]:
    """The one feature, a square picture in colours."""
    about = "A close picture of one lesion, in colours. It is brought to the size that the model takes."
    return (
        Feature(name="image", type=FeatureType.IMAGE, title="Picture of the lesion", help=about, shape=(side, side, 3)),
    )


def candidates(parameters: Mapping[str, object], resnet50: Mapping[str, object]) -> tuple[Candidate, ...]:
    """The three candidates; what ResNet50 has besides comes last."""
    basic, residual = "modelyard.models.images.architectures.basic", "modelyard.models.images.architectures.resnet50"
    return (
        Candidate(name="basic", estimator=basic, parameters=parameters),
        Candidate(name="resnet50", estimator=residual, parameters={**parameters, "pooling": "avg", **resnet50}),
        Candidate(name="cross_val", estimator=basic, parameters={**parameters, "folds": 3}),
    )


USE_CASE = UseCase(
    name="skin_cancer",
    title="Skin cancer",
    description="Says whether a picture of a skin lesion shows a malignant one. Not a medical device.",
    kind=TaskKind.IMAGE,
    features=image(224),
    target=Target(
        name="diagnosis", classes=("benign", "malignant"), title="Diagnosis", class_titles=("Benign", "Malignant")
    ),
    source="skin_cancer",
    # Of pictures in a folder `train`, a fifth validates.
    split=Split(train=0.64, validation=0.16, test=0.2),
    candidates=candidates(ORIGINAL, resnet50={}),
    extra="tensorflow",
    profiles={
        "sample": Profile(
            source="skin_cancer_sample",
            features=image(64),
            # So few steps are too few for its normalization to settle: it takes part, and loses. More take minutes.
            candidates=candidates(SAMPLE, resnet50={"batch_size": 32, "epochs": 1}),
        )
    },
    sample="sample",
)
