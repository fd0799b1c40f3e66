"""`python -m savedmodel`: the command line."""

from savedmodel.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
