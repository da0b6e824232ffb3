#!/usr/bin/env bash
# The kill test in short; tests/fault/kill.sh 50 20 is the long one.
exec bash "$EXACONN_SOURCE_DIR/tests/fault/kill.sh" 4 2
