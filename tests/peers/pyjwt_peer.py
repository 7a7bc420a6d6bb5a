"""Verifies one token with PyJWT, and signs one."""

import json
import sys

import jwt

asked = json.load(sys.stdin)
algorithm, secret, token = asked["alg"], asked["secret"], asked["token"]
try:
    jwt.decode(token, asked["other"], algorithms=[algorithm])
    refused = False
except jwt.InvalidTokenError:
    refused = True
answer = {
    "verified": jwt.decode(token, secret, algorithms=[algorithm]),
    "refused": refused,
    "token": jwt.encode(asked["claims"], secret, algorithm=algorithm),
}
json.dump(answer, sys.stdout)
