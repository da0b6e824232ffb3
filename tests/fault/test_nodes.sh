#!/usr/bin/env bash
# Node death and a cut link, once each; tests/fault/nodes.sh 5 is the long one.
exec bash "$EXACONN_SOURCE_DIR/tests/fault/nodes.sh" 1
