"""The SimpleFIN server: apps claim setup tokens and read accounts (https://www.simplefin.org/protocol.html)."""
