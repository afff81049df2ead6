"""How much memory reading a picture takes, in a process of its own."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_attack_the_largest_picture_of_any_kind_is_read_in_little_memory(mode: str) -> None:
    """In a process of its own, whose highest mark is asked: 200 MB are the decoded pixels themselves."""
    program = f"""
import resource
from PIL import Image
from modelyard import pictures
image = Image.new({mode!r}, (7140, 7000))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pictures._in_channels(pictures._reduced(image, 192, 3), 3)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 50
