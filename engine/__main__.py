"""``python -m codeclm.engine`` is the command ``codeclm``."""

from .cli import main

raise SystemExit(main())
