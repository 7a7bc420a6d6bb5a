"""Reads the variable `name` of each file with python-dotenv."""

import json
import logging
import sys

from dotenv import dotenv_values

logging.disable(logging.CRITICAL)
asked = json.load(sys.stdin)
json.dump([dotenv_values(file).get(asked["name"]) for file in asked["files"]], sys.stdout)
