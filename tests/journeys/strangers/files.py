"""Which of the strangers' files end how: released, refused for a planted leak by name, or too small to tell."""

PASSING = (
    "odd names",
    "decimal commas",
    "thousands",
    "truths",
    "gaps",
    "people",
    "compressed",
    "five percent",
    "fifty thousand",
    "two hundred columns",
)
LEAKS = {
    "filled for leavers": "closing code",
    "filled for some leavers": "closing code",
    "the answer again": "risk score v2",
}
SMALL = ("three hundred", "sixty")
