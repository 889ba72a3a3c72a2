"""A verdict in sentences: what happened and what to do."""

from collections.abc import Sequence

from resnet_ops_monitoring.drift.verdict import Finding, Verdict
from resnet_ops_monitoring.statistics.accuracy import ACCURACY

__all__ = ["advice", "capital", "explain", "family", "headline", "number", "percent", "perturbation"]

_IMAGE_WORDS = {
    "brightness": ("darker", "brighter"),
    "contrast": ("lower in contrast", "higher in contrast"),
    "sharpness": ("blurrier", "sharper"),
    "saturation": ("paler", "more colourful"),
    "entropy": ("plainer", "busier"),
}
_BLUR = "Look at the focus, the lens and whatever shakes or moves."
_NOISE = "Look at the light, the gain and the exposure: the images are noisier."
_LIGHT = "Look at the lamp, the exposure, and for dirt, frost or haze before the lens."
_PLACE = "Look at how the camera is mounted, and how the images are cropped and scaled."
_TRANSFER = "Look at what compresses or scales the images between camera and model."
_LEVELS = (
    "Look at what reads the images: black and white are exchanged (photometric interpretation, such as MONOCHROME1 or "
    "white is zero)."
)
_WHERE = {
    **dict.fromkeys(("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"), _BLUR),
    **dict.fromkeys(("gaussian_noise", "shot_noise", "impulse_noise"), _NOISE),
    **dict.fromkeys(("snow", "frost", "fog", "brightness", "contrast", "darkened"), _LIGHT),
    **dict.fromkeys(("elastic_transform", "turned", "moved", "zoomed_in", "zoomed_out"), _PLACE),
    **dict.fromkeys(("pixelate", "jpeg_compression"), _TRANSFER),
    "inverted": _LEVELS,
}
_CHANGED = "The images themselves changed: look at camera, lens, light and preprocessing first."
_UNCHANGED = (
    "Image statistics have not shifted: look for new kinds of content, another mix of classes, or a change between "
    "camera and model."
)


def perturbation(kind: str) -> str:
    """A kind of `perturbations.PERTURBATIONS` for people: "jpeg_compression" -> "JPEG compression"."""
    return kind.replace("_", " ").replace("jpeg", "JPEG").replace("gaussian", "Gaussian")


def family(kind: str) -> str:
    """Kinds with the same advice are of one family; a kind without advice is one of its own."""
    return _WHERE.get(kind, kind)


def percent(share: float) -> str:
    """0.314 -> "31 %"; one decimal below 10 % and above 90 %, where it matters."""
    value = 100 * share
    shown = f"{value:.1f}" if 0 < value < 10 or 90 < value < 100 else f"{value:.0f}"
    return f"{shown}\N{NO-BREAK SPACE}%"


def number(value: float) -> str:
    """Three significant digits."""
    return f"{value:.3g}"


def explain(findings: Sequence[Finding]) -> str:
    """What shifted, as sentences; empty when nothing did."""
    fired = [finding for finding in findings if finding.fired]
    parts = [_unusable(finding) for finding in fired if finding.signal == "unusable"]
    parts += [_copies(finding) for finding in fired if finding.signal == "copies"]
    shifted = {finding.column for finding in fired if finding.signal == "classes"}  # need not be said twice
    model = [
        *(_classes(finding) for finding in fired if finding.signal == "classes"),
        *(
            _softmax(finding)
            for finding in fired
            if finding.signal == "softmax" and finding.column not in shifted
        ),
        *(_scalar(finding) for finding in fired if finding.signal == "scalars"),
        *(
            f"the images look different to it (a test tells {percent((1 + finding.effect) / 2)} of them from earlier "
            "ones; guessing would tell half)"
            for finding in fired
            if finding.signal == "embeddings"
        ),
    ]
    if model:
        parts.append(
            f"Predictions shifted: {'; '.join(model)}." if len(model) > 1 else f"{capital(model[0])}."
        )
    if any(finding.suppressed for finding in findings):
        parts.append("Images look different to the model, but by the estimate it does about as well on them.")
    image = [_image(finding) for finding in fired if finding.signal == "image"]
    if image:
        parts.append(f"Images are {_join(image)}.")
    return " ".join(parts)


def headline(verdict: Verdict) -> str:
    """One line that says what happened."""
    if verdict.status == "alarm":
        return f"Alarm: {verdict.identity} no longer behaves as when it was tested"
    if verdict.status == "warning":
        return f"Warning: {verdict.identity} looks different in this window; one alone is not an alarm"
    if verdict.status == "invalid data":
        return f"Not judged: the logged data of {verdict.identity} is not valid"
    if verdict.status == "insufficient data":
        return f"Not judged: too little usable data from {verdict.identity}"
    if verdict.labels_contradict:
        return f"Labels show more mistakes of {verdict.identity}, though its outputs look as before"
    if verdict.input_drift:
        return f"OK: {verdict.identity} behaves as tested, though its images have changed"
    return f"OK: {verdict.identity} behaves as it did when it was tested"


def advice(verdict: Verdict, min_rows: int) -> list[str]:
    """What to do, first things first."""
    if verdict.status == "insufficient data" and verdict.rows - verdict.unusable >= min_rows:
        return [
            "Give those who write the inference log room: a database that answers, space for segments. What is lost "
            "does not come back (resnet-ops log show lists it). Until then nothing is known: this is not a pass."
        ]
    if verdict.status == "insufficient data":
        return [
            f"Collect at least {min_rows} usable images, then judge the window again. Until then nothing is known: "
            "this is not a pass.",
            *(["Find out why the model's output is not finite for some images."] if verdict.unusable else []),
        ]
    if verdict.status == "invalid data":
        return [
            "Correct what writes the log, as the reason says, then judge the window again. Until then nothing is "
            "known: this is not a pass."
        ]
    if verdict.status == "warning":
        return [
            "Wait for the next windows: one can differ by chance, several in a row do not. This is not a pass."
        ]
    if verdict.status == "alarm":
        return [
            _where_to_look(verdict),
            _label(verdict),
            "If the cause cannot be removed, return to the previous version, if it does better (resnet-ops drift "
            f"rollback {verdict.window} ALIAS --why TEXT --key NAME), or train on such images.",
        ]
    if verdict.labels_contradict:
        return [
            "Check whether these images were labelled because they looked wrong; then the number says little about the "
            "rest.",
            "If they were labelled at random, the model is wrong more often: put a better version into production.",
        ]
    if verdict.input_drift:
        return [
            f"Nothing is urgent. {capital(verdict.measured)} holds; check the camera and the light when convenient."
        ]
    return ["Nothing."]


def _where_to_look(verdict: Verdict) -> str:
    """By the likely reason, unless only the mix of classes alarms: then images that changed too are not why."""
    hurt = any(each.fired for each in verdict.findings if each.signal in ("softmax", "scalars", "embeddings"))
    plain = _CHANGED if verdict.input_drift else _UNCHANGED
    return _WHERE.get(verdict.likely_reason or "", plain) if hurt else plain


def _label(verdict: Verdict) -> str:
    how = (
        "Label about 50 of these images to learn the real accuracy (resnet-ops log label)"
        if verdict.measured == ACCURACY
        else f"Look at the answers to about 50 of these images, for what they show of the {verdict.measured}"
    )
    return f"{how}, and stop relying on the answers where a mistake is costly."


def _unusable(finding: Finding) -> str:
    return f"{percent(finding.effect)} of the rows hold predictions that are not finite."


def _copies(finding: Finding) -> str:
    repeated = percent(finding.effect)
    return f"{repeated} of the images repeat another one: a camera may be frozen, or requests are sent twice."


def _classes(finding: Finding) -> str:
    now, before = percent(finding.window or 0), percent(finding.reference or 0)
    return f"class {finding.column} is predicted {now} of the time instead of {before}"


def _softmax(finding: Finding) -> str:
    now, before = percent(finding.window or 0), percent(finding.reference or 0)
    return f"class {finding.column} gets a probability of {now} on average instead of {before}"


def _scalar(finding: Finding) -> str:
    now, before = number(finding.window or 0), number(finding.reference or 0)
    return f"{finding.column} is {now} on average instead of {before}"


def _image(finding: Finding) -> str:
    before, now = finding.reference or 0.0, finding.window or 0.0
    unit = " bits" if finding.column == "entropy" else ""
    return f"{_IMAGE_WORDS[finding.column][int(now > before)]} ({number(before)} → {number(now)}{unit})"


def _join(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def capital(text: str) -> str:
    """With a large first letter."""
    return text[0].upper() + text[1:]
