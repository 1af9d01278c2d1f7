"""What a finished run says to somebody who was not there: key figures in words, and one self-contained HTML file."""
