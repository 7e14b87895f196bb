#!/bin/sh
echo '{"terms": {"names": true, "victims": true}}'
