#!/usr/bin/env python3
"""A pool of servers at Hetzner Cloud, for Flyball's provider exec.

    exec:
      command: [./hetzner.py]
      env: {HCLOUD_TOKEN_FILE: /etc/flyball/hcloud.token, IMAGE: app-7, TYPE: cx22, LOCATION: fsn1, PORT: "8080"}

A member is a server that bears the label flyball-pool with the pool's name. Names are
unique in a project, so that one which is made twice is refused and not doubled.
"""
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

API = os.environ.get("HCLOUD_ENDPOINT", "https://api.hetzner.cloud/v1")
SPENT = ("resource_limit_exceeded", "resource_unavailable", "placement_error")
STATES = {"off": "dead", "stopping": "leaving", "deleting": "leaving"}


class Refused(Exception):
    def __init__(self, code, text, wait=0):
        super().__init__(text)
        self.code = code
        self.wait = wait  # seconds until it is worth asking again; 0: nobody says


def api(method, path, body=None):
    with open(os.environ["HCLOUD_TOKEN_FILE"]) as f:
        headers = {"Authorization": "Bearer " + f.read().strip(), "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(API + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=4) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as e:
        wait = patience(e.headers) if e.code == 429 else 0
        try:
            error = json.loads(e.read())["error"]
        except (ValueError, KeyError):
            raise Refused("", str(e), wait)
        raise Refused(error["code"], error["message"], wait)


def patience(headers):
    """Says for how many seconds the cloud wants to be left alone: until all requests
    are there again, but a minute is enough for some."""
    try:
        return min(max(int(headers["RateLimit-Reset"]) - time.time(), 1), 60)
    except (KeyError, TypeError, ValueError):
        return 10


def servers(pool):
    selector, page = urllib.parse.quote("flyball-pool==" + pool), 1
    while page:
        answer = api("GET", f"/servers?label_selector={selector}&per_page=50&page={page}")
        yield from answer["servers"]
        page = answer["meta"]["pagination"]["next_page"]


def member(server):
    found = {
        "id": str(server["id"]), "name": server["name"], "born": server["created"],
        "state": STATES.get(server["status"], "booting"), "note": server["status"],
        "version": server["labels"].get("flyball-image", ""),
    }
    if server["public_net"]["ipv4"]:
        found["address"] = server["public_net"]["ipv4"]["ip"] + ":" + os.environ["PORT"]
    return found


def look(pool):
    terms = {"names": True, "victims": True, "version": os.environ["IMAGE"]}
    return {"terms": terms, "members": [member(s) for s in servers(pool)]}


def create(pool, name):
    image = os.environ["IMAGE"]
    try:
        api("POST", "/servers", {
            "name": name, "image": image, "server_type": os.environ["TYPE"], "location": os.environ["LOCATION"],
            "labels": {"flyball-pool": pool, "flyball-image": image},
        })
    except Refused as e:
        if e.code != "uniqueness_error" or not any(s["name"] == name for s in servers(pool)):
            raise


def remove(victim):
    try:
        api("DELETE", "/servers/" + victim["id"])
    except Refused as e:
        if e.code != "not_found":
            raise


def each(do, things):
    """Does what can be done, and tells what could not; it stops when there are no
    requests left."""
    failed, told = [], {}
    for thing, name in things:
        try:
            do(thing)
        except Refused as e:
            failed.append(f"{name}: {e}")
            if e.code in SPENT:
                told["no_capacity"] = True
            if e.wait:
                told["retry_after"] = e.wait
                break
    return {"error": "; ".join(failed), **told} if failed else {}


def answer(asked):
    pool = asked["pool"]
    if asked["verb"] == "look":
        return look(pool)
    if asked["verb"] == "grow":
        return each(lambda name: create(pool, name), [(n, "create " + n) for n in asked.get("names", [])])
    return each(remove, [(v, "delete " + v["name"]) for v in asked.get("victims", [])])


try:
    print(json.dumps(answer(json.load(sys.stdin))))
except Refused as e:
    print(json.dumps({"error": str(e), "retry_after": e.wait}))
except OSError as e:
    print(json.dumps({"error": str(e)}))
