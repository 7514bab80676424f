"""Values with words: what a hidden test says of a result, and of what a call has left."""


class Named(dict):
    """Values by the words for what they are, which a student reads where one of them is not what it must be."""
