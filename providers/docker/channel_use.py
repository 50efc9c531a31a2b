"""What writes of an environment do with its channel tag. A plain value: files and state decide it."""

from enum import Enum


class ChannelUse(Enum):
    """The channel tag in the writes of one environment."""

    MOVES = "each write points it to the image"
    FOLLOWS = "as MOVES, but a plan of the files leaves a tag that another environment moved"
    LEAVES = "never touched: other environments run what it points to, and this one does not"
