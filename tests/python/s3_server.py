"""An S3 server (moto) that checks signatures, for the tests of attachments: s3_server.py PORT BUCKET

It prints the key of somebody who may do all, as JSON. What it keeps counts as written on 1 January 2026: a test cannot
wait for a file to become old.
"""
import datetime
import json
import os
import sys
import threading

PORT, BUCKET = sys.argv[1:]
# To make the bucket and the key; whatever comes after is asked who it is.
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "4"

import boto3
import moto.s3.models
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

moto.s3.models.utcnow = lambda: datetime.datetime(2026, 1, 1)
ThreadedMotoServer(ip_address="127.0.0.1", port=PORT, verbose=False).start()


def client(service):
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{PORT}",
        region_name="us-east-1",
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
    )


client("s3").create_bucket(Bucket=BUCKET)
iam = client("iam")
iam.create_user(UserName="recado")
everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
iam.put_user_policy(UserName="recado", PolicyName="files", PolicyDocument=json.dumps(everything))
key = iam.create_access_key(UserName="recado")["AccessKey"]
print(json.dumps({"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}), flush=True)
threading.Event().wait()
