#!/usr/bin/env python3
"""The official client as a small command, for tests: one JSON value on stdout.

    official.py upload BUCKET LOCAL REMOTE [LOCAL REMOTE]...
    official.py download BUCKET REMOTE LOCAL [REMOTE LOCAL]...
    official.py copy BUCKET FROM TO [FROM TO]...        within the bucket, on the Hub
    official.py delete BUCKET REMOTE...
    official.py list BUCKET            {path: size}
    official.py snapshot KINDs/OWNER/NAME@REVISION DIR    a repo's files

HF_ENDPOINT and HF_TOKEN say where and who. Needs huggingface_hub and hf_xet (scripts/python-env).
"""
import json, sys

from huggingface_hub import HfApi


def pairs(arguments):
    return list(zip(arguments[::2], arguments[1::2], strict=True))


def main():
    command, bucket, *arguments = sys.argv[1:]
    api = HfApi()
    answer = None
    if command == "upload":
        api.batch_bucket_files(bucket, add=pairs(arguments))
    elif command == "download":
        api.download_bucket_files(bucket, pairs(arguments))
    elif command == "copy":
        hashes = {entry.path: entry.xet_hash for entry in api.list_bucket_tree(bucket) if entry.type == "file"}
        api.batch_bucket_files(bucket, copy=[("bucket", bucket, hashes[old], new) for old, new in pairs(arguments)])
    elif command == "delete":
        api.batch_bucket_files(bucket, delete=arguments)
    elif command == "list":
        answer = {entry.path: entry.size for entry in api.list_bucket_tree(bucket) if entry.type == "file"}
    elif command == "snapshot":
        name, _, revision = bucket.partition("@")
        kind, _, repo = name.partition("/")
        api.snapshot_download(repo, repo_type=kind.removesuffix("s"), revision=revision or None, local_dir=arguments[0])
    else:
        raise SystemExit(__doc__)
    json.dump(answer, sys.stdout)


main()
