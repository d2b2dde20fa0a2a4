"""Reads no more of what another host sends than fits."""

from collections.abc import AsyncIterable


async def read_up_to(chunks: AsyncIterable[bytes], content: bytearray, limit: int) -> bool:
    """Reads the chunks into `content` until it has more than `limit` bytes. Returns whether these are all.

    What was read before an error is in `content`. Decoded chunks count with their decoded size, because a small
    compressed answer can decode to gigabytes.
    """
    async for chunk in chunks:
        content += chunk
        if len(content) > limit:
            return False
    return True
