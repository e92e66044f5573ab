from typing import Any
from typing import NamedTuple


class Report(NamedTuple):
    """What a run over many photos has done, and what it could not use.

    Attributes:
        masks: Path of the folder of the label maps.
        num_images: Integer, for how many photos there are label maps.
        problems: Dictionary from files, and lines of files, to what is wrong
            with them: the photos that were left out.
        logs: Dictionary from the stages that trained to the logs of their
            last epoch.
    """

    masks: str
    num_images: int
    problems: dict[str, str]
    logs: dict[str, dict[str, Any]]
