"""The bridge of `modelgate connect`: a client on standard input and output, a running gateway on the other side."""
