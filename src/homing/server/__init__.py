"""HTTP: decode, call one function, encode. One file a step of the protocol in ``routes``."""
