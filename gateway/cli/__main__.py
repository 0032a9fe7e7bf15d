"""`python -m gateway.cli`, which is how the supervisor starts its roles."""

from gateway.cli.entry import main

raise SystemExit(main())
