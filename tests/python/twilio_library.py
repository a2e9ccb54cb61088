"""What Twilio's own library does with a simulated Twilio: reads a JSON document, writes one.

Given: url, account, token, number, contact; requests: [{url, fields: [[name, value]], signature}].
Answers: created, listed, pages, fetched, refused, account; calls: the same of calls; valid: [bool], one for each request.
"""

import json
import sys
from urllib.parse import urlsplit

from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client


class Redirected(TwilioHttpClient):
    """Asks another host for what api.twilio.com would be asked for."""

    def __init__(self, base):
        super().__init__(timeout=20)
        self.base = base

    def request(self, method, url, **options):
        parts = urlsplit(url)
        assert (parts.scheme, parts.hostname) == ("https", "api.twilio.com"), url
        query = "?" + parts.query if parts.query else ""
        return super().request(method, self.base + parts.path + query, **options)


class Fields:
    """A form in which a name may stand more than once, as web frameworks hand it over."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __iter__(self):
        return (name for name, _ in self.pairs)

    def __bool__(self):
        return bool(self.pairs)

    def getall(self, wanted):
        return [value for name, value in self.pairs if name == wanted]


def seen(message):
    return {
        "sid": message.sid,
        "to": message.to,
        "from": message.from_,
        "body": message.body,
        "direction": message.direction,
        "status": message.status,
        "created": message.date_created is not None,
    }


def heard(call):
    return {
        "sid": call.sid,
        "to": call.to,
        # The library gives a call's caller no name of its own.
        "from": call._from,
        "direction": call.direction,
        "status": call.status,
        "created": call.date_created is not None,
    }


def call(client, number, contact, hook):
    """Makes calls as the library's users do, with every parameter that we use."""
    made = [
        client.calls.create(
            to=contact,
            from_=number,
            twiml="<Response><Say>Olá & até já</Say></Response>".replace("&", "&amp;"),
            record=True,
            recording_status_callback=hook,
            recording_status_callback_event=["in-progress", "completed", "absent"],
            status_callback=hook,
            status_callback_event=["initiated", "ringing", "answered", "completed"],
            machine_detection="Enable",
            timeout=30,
        ),
        client.calls.create(to=contact, from_=number, url=hook),
    ]
    try:
        client.calls.create(to="+15005550003", from_=number, url=hook)
        refused = None
    except TwilioRestException as error:
        refused = {"status": error.status, "code": error.code}
    return {
        "created": [heard(one) for one in made],
        "listed": [heard(one) for one in client.calls.list(to=contact, limit=20)],
        "paged": [one.sid for one in client.calls.list(page_size=1, limit=20)],
        "fetched": heard(client.calls(made[0].sid).fetch()),
        "refused": refused,
    }


def main():
    given = json.load(sys.stdin)
    client = Client(given["account"], given["token"], http_client=Redirected(given["url"]))
    number, contact = given["number"], given["contact"]
    created = [
        client.messages.create(to=contact, from_=number, body="Olá, ação 🎂"),
        client.messages.create(to=contact, from_=number, media_url=["https://a.example/1.png"], body="foto"),
        client.messages.create(
            to="whatsapp:" + contact,
            from_="whatsapp:" + number,
            content_sid="HX0123456789abcdef0123456789abcdef",
            content_variables=json.dumps({"1": "Ana"}),
        ),
    ]
    try:
        client.messages.create(to="11987654321", from_=number, body="oi")
        refused = None
    except TwilioRestException as error:
        refused = {"status": error.status, "code": error.code}
    try:
        stranger = Client(given["account"], "wrong", http_client=Redirected(given["url"]))
        stranger.messages(created[0].sid).fetch()
        stranger = None
    except TwilioRestException as error:
        stranger = {"status": error.status, "code": error.code}
    validator = RequestValidator(given["token"])
    answer = {
        "created": [seen(message) for message in created],
        "listed": [seen(message) for message in client.messages.list(to=contact, limit=20)],
        # More than one page: the library follows next_page_uri.
        "paged": [message.sid for message in client.messages.list(page_size=1, limit=20)],
        "fetched": seen(client.messages(created[0].sid).fetch()),
        "refused": refused,
        "stranger": stranger,
        "account": client.api.v2010.accounts(given["account"]).fetch().status,
        "calls": call(client, number, contact, given["hook"]),
        "valid": [
            validator.validate(request["url"], Fields(request["fields"]), request["signature"])
            for request in given["requests"]
        ],
    }
    json.dump(answer, sys.stdout)


main()
