"""What the API's documentation says of a use case: JSON schemas made from its contract."""

from typing import Any

from modelyard.contract import Contract, Feature, FeatureType, Interval, Value, plain
from services.api.inputs.json_record import LARGEST_KEY, LONGEST_KEY, LONGEST_TEXT, TEXT_PATTERN, bounds

Schema = dict[str, Any]

SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
KEY: Schema = {
    "title": "Record key",
    "description": "Names the record, so that its outcome can be joined later. Kept, never used to predict.",
    "type": ["integer", "string", "null"],
    "minimum": -LARGEST_KEY,
    "maximum": LARGEST_KEY,
    "maxLength": LONGEST_KEY,
    "pattern": TEXT_PATTERN,
}


# What a record came with beside its features.
GROUP = KEY | {"title": "Group", "description": "Says which records stand together. Kept, never used to predict."}
TIME: Schema = {
    "title": "Time",
    "description": "When the record came about, in ISO 8601. Kept, never used to predict.",
    "type": ["string", "null"],
    "maxLength": LONGEST_KEY,
}


def _beside(contract: Contract) -> dict[str, Schema]:
    """The fields that are no features."""
    key = {contract.key: KEY} if contract.key else {}
    return key | {name: TIME if name == contract.time else GROUP for name in contract.carried}


def record_schema(contract: Contract) -> Schema:
    """The JSON schema of a record."""
    key = _beside(contract)
    return {
        "title": f"{contract.title or contract.use_case}: record",
        "description": contract.description,
        "type": "object",
        "properties": key | {f.name: _feature_schema(f, contract.example.get(f.name)) for f in contract.features},
        "required": [feature.name for feature in contract.features if not feature.nullable],
        "additionalProperties": False,
        **({"examples": [contract.example]} if contract.example and not contract.features[0].is_image else {}),
    }


def form_schema(contract: Contract) -> Schema:
    """The schema of a form with a file, for a model of pictures."""
    key = _beside(contract)
    return {
        "title": f"{contract.title or contract.use_case}: form",
        "type": "object",
        "properties": key | {f.name: _described_file(f) for f in contract.features},
        "required": contract.names,
    }


def _described_file(feature: Feature) -> Schema:
    return {"title": feature.label, "description": feature.help, "type": "string", "format": "binary"}


def answer_schema(contract: Contract) -> Schema:
    """The JSON schema of an answer."""
    properties: Schema = {
        "prediction": _prediction_schema(contract),
        "probability": _probability_schema(contract),
        "model_version": {"type": "integer", "description": "The version of the model that answered."},
        "request_id": {"type": "string", "format": "uuid", "description": "Names the row in the table `predictions`."},
        "warnings": {
            "type": "array",
            "items": {"type": "string"},
            "description": "A sentence for each value that the model has never seen the like of.",
        },
    }
    labels = [str(label) for label in contract.target.classes]
    if len(labels) > 2:
        each = dict.fromkeys(labels, SHARE)
        properties["probabilities"] = {"type": "object", "properties": each, "required": labels}
    if contract.interval:
        properties |= {name: _end_schema(contract, name, contract.interval) for name in ("lower", "upper")}
    title = f"{contract.title or contract.use_case}: answer"
    return {"title": title, "type": "object", "properties": properties, "required": list(properties)}


def _feature_schema(feature: Feature, example: Value) -> Schema:
    schema: Schema = {"title": feature.label, "description": _described(feature), **_value_schema(feature)}
    if feature.nullable:
        schema["type"] = [*schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    if feature.unit:
        schema["x-unit"] = feature.unit
    if example is not None and not feature.is_image:
        schema["examples"] = [example]
    return schema


def _value_schema(feature: Feature) -> Schema:
    if feature.is_counted:
        low, high = bounds(feature.valid)
        return {"type": [feature.type.value], "minimum": low, "maximum": high}
    if feature.type is FeatureType.BOOLEAN:
        return {"type": ["boolean", "integer"], "enum": [True, False, 0, 1]}
    if feature.is_image:
        return {"type": ["string"], "minLength": 1, "contentEncoding": "base64", "contentMediaType": "image/*"}
    if feature.categories:
        return {"type": ["string"], "enum": list(feature.categories)}
    return {"type": ["string"], "minLength": 1, "maxLength": LONGEST_TEXT, "pattern": TEXT_PATTERN}


def _described(feature: Feature) -> str:
    parts = [feature.help, f"In {feature.unit}." if feature.unit else ""]
    if feature.is_counted and feature.seen and feature.seen.minimum is not None and feature.seen.maximum is not None:
        parts.append(f"The model was trained on {plain(feature.seen.minimum)} to {plain(feature.seen.maximum)}.")
    return " ".join(part for part in parts if part)


def _prediction_schema(contract: Contract) -> Schema:
    target = contract.target
    title = target.title or target.name
    if not contract.kind.is_classification:
        return {"title": title, "type": "number", **({"x-unit": target.unit} if target.unit else {})}
    named = ", ".join(f"{label}: {name}" for label, name in zip(target.classes, target.class_titles, strict=False))
    return {"title": title, "enum": list(target.classes), **({"description": named} if named else {})}


def _end_schema(contract: Contract, name: str, interval: Interval) -> Schema:
    end = f"The {name} end of the interval that holds the truth in {100 * interval.coverage:g} % of all cases."
    return {"type": "number", "description": end, **({"x-unit": contract.target.unit} if contract.target.unit else {})}


def _probability_schema(contract: Contract) -> Schema:
    classes = contract.target.classes
    if not classes:
        return {"type": "null"}
    if len(classes) > 2:
        return SHARE | {"description": "Probability of the predicted class."}
    return SHARE | {"description": f"Probability of {classes[1]}, which is predicted from {contract.threshold:g} on."}
