"""transfer.py upload|download BUCKET REMOTE LOCAL: the official client moves one file; seconds and memory as JSON.

Runs under the interpreter of scripts/python-env, with HF_ENDPOINT and HF_TOKEN set.
"""
import json, resource, sys, time

from huggingface_hub import HfApi
import hf_xet  # noqa: F401  (loaded before the clock starts)


def main():
    what, bucket, remote, local = sys.argv[1:]
    api = HfApi()
    began = time.monotonic()
    if what == "upload":
        api.batch_bucket_files(bucket, add=[(local, remote)])
    else:
        api.download_bucket_files(bucket, [(remote, local)])
    seconds = time.monotonic() - began
    json.dump({"seconds": seconds, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}, sys.stdout)


main()
