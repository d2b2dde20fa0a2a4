"""A stand-in for the widget's server, for trying the page by itself: python tests/widget/stub.py [--port 8300].

It keeps everything in memory and forgets it on Ctrl-C. The link says what is wanted: `/md/connect/<JSON>`, where the
JSON holds any of `config`, `client`, `start` and `world`, which replace parts of the defaults below. The password
chooses what happens, as at the sandbox bank (docs/reference/sandbox-bank.md).
"""

import argparse
import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parents[2] / "src" / "coatcheck" / "widget" / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'"
)
CONFIG = {
    "mode": "verification",
    "color_scheme": "light",
    "disable_institution_search": False,
    "is_mobile_webview": False,
    "ui_message_version": 4,
    "ui_message_webview_url_scheme": "mx",
}
CLIENT = {"guid": "CLT-1", "name": "Harbour Pay", "logo_url": None, "accent_color": None}
START = {
    "consent_needed": False,
    "consent": {
        "shares": ["accounts", "account_numbers", "identity"],
        "refreshes": "once",
        "readers": ["Acme Payments", "Lodestar Lending"],
        "reading_days": 60,
        "privacy_url": "https://harbour.example/privacy",
    },
    "microdeposits_enabled": True,
}
WORLD = {"name": None, "pace": 0.8, "accounts": 1, "steps": {}}
"""`name` plants a name in every bank; `pace` is the seconds a phase takes; `accounts` how many could be verified."""
PHASES = ["started", "authenticated", "accounts", "numbers", "identity"]
NAMES = [
    "MX Bank", "MX Bank (OAuth)", "Maple & Main Bank", "First Harbor Credit Union", "Juniper National Bank",
    "Bay Federal", "Cedar Savings", "Dune Community Bank", "Elm Street Trust", "Fjord Bank", "Granite State Bank",
    "Hazel Federal",
    *(f"Northern Branch Bank {number}" for number in range(1, 40)),
]  # fmt: skip
STATUSES = {
    "CREATED": 0, "PREVENTED": 1, "DENIED": 2, "CHALLENGED": 3, "REJECTED": 4, "LOCKED": 5, "CONNECTED": 6,
    "FAILED": 14, "UPDATED": 15, "RESUMED": 18, "PENDING": 21,
}  # fmt: skip
ENDINGS = {
    "INVALID": ("DENIED", "enterCreds", "Check your details", None, None),
    "LOCKED": ("LOCKED", "actionableError", "Your login is locked", "visitInstitution", "retry"),
    "SERVER_ERROR": ("FAILED", "actionableError", "The bank could not be read", "retry", "search"),
    "wrong": ("REJECTED", "actionableError", "That answer was not right", "retry", "search"),
    "none": ("CONNECTED", "noEligibleAccounts", "No account can be used", "search", "microdeposits"),
}
QUESTIONS = {"challenge": 0, "options": 2, "token": 12, "image": 13, "image_options": 14}


def svg(name: str) -> str:
    hue = sum(map(ord, name)) * 37 % 360
    drawn = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">'
        f'<rect width="100" height="100" rx="18" fill="hsl({hue} 55% 30%)"/>'
        f'<circle cx="82" cy="18" r="34" fill="hsl({hue} 60% 38%)"/>'
        '<text x="50" y="65" text-anchor="middle" font-family="sans-serif" font-size="42" fill="#fff">'
        f"{name[:1]}</text></svg>"
    )
    return "data:image/svg+xml;base64," + base64.b64encode(drawn.encode()).decode()


class Session:
    """One opened page."""

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self.config = {**CONFIG, **wanted.get("config", {})}
        self.client = {**CLIENT, **wanted.get("client", {})}
        self.start = {**START, **wanted.get("start", {})}
        self.world = {**WORLD, **wanted.get("world", {})}
        self.members: dict[str, dict[str, Any]] = {}
        self.states: dict[str, dict[str, Any]] = {}
        self.deposits: dict[str, dict[str, Any]] = {}
        self.is_over = False

    def institution(self, number: int) -> dict[str, Any]:
        name = self.world["name"] or NAMES[number]
        return {
            "guid": f"INS-{number}",
            "code": f"bank_{number}",
            "name": name,
            "url": f"https://www.bank{number}.example",
            "logo_url": svg(name),
            "supports_oauth": number == 1,
            "instructional_text": None,
            "forgot_password_credential_recovery_url": f"https://www.bank{number}.example/forgot",
            "forgot_username_credential_recovery_url": None,
            "trouble_signing_credential_recovery_url": None,
        }

    def make(self, number: int, password: str, *, is_oauth: bool) -> dict[str, Any]:
        institution = self.institution(number)
        guid = f"MBR-{len(self.members)}"
        self.members[guid] = member = {
            "guid": guid,
            "institution_guid": institution["guid"],
            "institution_code": institution["code"],
            "institution_name": institution["name"],
            "institution_url": institution["url"],
            "institution_logo_url": institution["logo_url"],
            "name": institution["name"],
            "is_oauth": is_oauth,
            "verification_is_enabled": True,
            "oauth_window_uri": None,
            "selected_account_guid": None,
            "password": password,
            "is_answered": False,
        }
        self.run(member)
        return member

    def run(self, member: dict[str, Any]) -> None:
        member.update(since=monotonic(), is_answered=False)

    def show(self, member: dict[str, Any]) -> dict[str, Any]:
        """The member as it is now: time alone moves it on."""
        status, step, title, first, second = self.standing(member)
        done = min(int((monotonic() - member["since"]) / self.world["pace"]), len(PHASES))
        if step == "mfa":
            done = min(done, 1)
        words = title and {
            "title": title,
            "text": f"{member['institution_name']} says so, and here is what you can do about it.",
            "primary_action": first and {"action": first, "label": label(first, member)},
            "secondary_action": second and {"action": second, "label": label(second, member)},
        }
        public = {
            key: value for key, value in member.items() if key not in {"password", "since", "is_answered"}
        }
        return {
            **public,
            "connection_status": STATUSES[status],
            "step": step,
            "is_being_aggregated": step in {"connecting", "mfa"},
            "progress": {"wanted": PHASES, "done": PHASES[:done]},
            "message": words,
            "error": {"error_code": 1000} if step == "noEligibleAccounts" else None,
            "mfa": {"credentials": [self.question(member["password"])] if step == "mfa" else []},
        }

    def standing(self, member: dict[str, Any]) -> tuple[str, str, str | None, str | None, str | None]:
        password, pace = member["password"], self.world["pace"]
        elapsed = monotonic() - member["since"]
        if password == "pending":
            return "PENDING", "oauth", None, None, None
        if password in QUESTIONS and not member["is_answered"]:
            return (
                ("CHALLENGED", "mfa", *[None] * 3)
                if elapsed > pace
                else ("CREATED", "connecting", *[None] * 3)
            )
        if elapsed < pace * (2 if password in ENDINGS else len(PHASES)) or password == "hang":
            return "RESUMED" if member["is_answered"] else "CREATED", "connecting", None, None, None
        if ending := ENDINGS.get(password):
            return ending
        if self.world["accounts"] > 1 and not member["selected_account_guid"]:
            return "CONNECTED", "accountSelect", None, None, None
        return "CONNECTED", "connected", None, None, None

    def question(self, password: str) -> dict[str, Any]:
        kind = QUESTIONS[password]
        words = {0: "What city were you born in?", 12: "Enter the code we sent to your phone ending in 0142."}
        planted = self.world["name"]
        return {
            "guid": "CHA-1",
            "label": planted or words.get(kind, "Which of these do you know?"),
            "field_type": kind,
            "image_data": svg("correct") if kind == 13 else None,
            "options": [
                {"guid": value, "label": planted or text, "data_uri": svg(text) if kind == 14 else None}
                for value, text in (
                    ("correct", "Lantern Lane"),
                    ("wrong", "Kettle Court"),
                    ("LOCKED", "Padlock Place"),
                )
                if kind in {2, 14}
            ],
        }


def label(action: str, member: dict[str, Any]) -> str:
    words = {
        "visitInstitution": f"Go to {member['institution_name']}",
        "retry": "Try again",
        "search": "Choose another bank",
        "microdeposits": "Use account numbers instead",
    }
    return words[action]


SESSIONS: dict[str, Session] = {}
Handler = Callable[[Session, Request, Any], Any]


class Refused(Exception):
    def __init__(self, status: int, kind: str, **more: str) -> None:
        self.answer = JSONResponse({"error": {"message": kind, "type": kind}, **more}, status)


def api(handler: Handler) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        session = SESSIONS.get(request.headers.get("X-Widget-Session", ""))
        if session is None or session.is_over:
            return Refused(401, "session_over").answer
        try:
            answer = handler(session, request, await request.json() if await request.body() else None)
        except Refused as refused:
            return refused.answer
        return Response(status_code=204) if answer is None else JSONResponse(answer)

    return answer


# --- the page ----------------------------------------------------------------------------------------------


async def page(request: Request) -> Response:
    wanted = json.loads(request.path_params["wanted"])
    token = f"cws_{len(SESSIONS)}"
    SESSIONS[token] = session = Session(wanted)
    locale = wanted.get("locale", "en")
    words = {
        **json.loads((STATIC / "catalogues/en.json").read_text()),
        **json.loads((STATIC / f"catalogues/{locale}.json").read_text()),
    }
    boot = {
        "session_token": token,
        "session_guid": "WSN-1",
        "user_guid": "USR-1",
        "locale": locale,
        "config": session.config,
        "client": session.client,
        "target_origins": wanted.get("target_origins", ["http://127.0.0.1:*", "http://localhost:*"]),
        "messages": words,
        "static": "/md/static/stub",
        "start": start(session),
    }
    text = json.dumps(boot).replace("<", "\\u003c")
    html = f"""<!doctype html><html lang="{locale}" data-color-scheme="{session.config["color_scheme"]}">
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Connect</title>
<link rel="stylesheet" href="/md/static/stub/widget.css">
<script type="module" src="/md/static/stub/widget.js"></script>
<script type="application/json" id="boot">{text}</script><div id="app"></div></html>"""
    return HTMLResponse(html, headers={"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"})


async def host(request: Request) -> Response:
    """A page that embeds the widget with the loader, and keeps what it is told in `told`."""
    return HTMLResponse(
        f"""<!doctype html><title>Host</title><style>body{{margin:0}}#widget{{height:100vh}}</style>
<div id="widget"></div><script src="{request.query_params["from"]}/connect.js"></script>
<script>
const told = [];
const connect = new MXConnect({{id: "widget", iframeTitle: "Connect", targetOrigin: "*",
  onEvent: (type, payload) => told.push([type, payload])}});
connect.load({json.dumps(request.query_params["url"])});
</script>"""
    )


async def bank(request: Request) -> Response:
    """The bank's own page: granting, refusing, or closing the window."""
    return HTMLResponse(
        f"<!doctype html><title>Bank</title><a href='/bank/{request.path_params['state']}/2'>Allow</a> "
        f"<a href='/bank/{request.path_params['state']}/3'>Deny</a>"
    )


async def bank_answer(request: Request) -> Response:
    status, guid = request.path_params["status"], request.path_params["state"]
    for session in SESSIONS.values():
        if state := session.states.get(guid):
            state.update(auth_status=status, error_reason_name="DENIED" if status == 3 else None)
            member = session.members[state["outbound_member_guid"]]
            if status == 2:
                member["password"] = "fine"
                session.run(member)
    return HTMLResponse("<!doctype html><title>Bank</title>You can close this window.")


async def end(request: Request) -> Response:
    """Ends every session, as idleness would."""
    for session in SESSIONS.values():
        session.is_over = True
    return Response(status_code=204)


# --- its API -----------------------------------------------------------------------------------------------


def start(session: Session, request: Request | None = None, body: Any = None) -> Any:
    given = session.start
    if member := given.get("member"):
        made = session.make(0, member, is_oauth=False)
        made["since"] = -1e9
        given = {**given, "member": session.show(made), "institution": session.institution(0)}
    if count := given.get("existing"):
        members = [session.show(session.make(number, "fine", is_oauth=False)) for number in range(count)]
        given = {
            **given,
            "members": [{**member, "progress": {"wanted": [], "done": []}} for member in members],
        }
    step = "consent" if given["consent_needed"] else given.get("step", "search")
    return {"members": [], **given, "step": step}


def consent(session: Session, request: Request, body: Any) -> Any:
    session.start["consent_needed"] = False
    return {"consent_needed": False}


def institutions(session: Session, request: Request, body: Any) -> Any:
    query = request.query_params
    text, page = query.get("search_name", "").lower(), int(query.get("page", 1))
    found = [session.institution(number) for number, name in enumerate(NAMES) if text in name.lower()]
    if routing := query.get("routing_number"):
        found = found[:1] if routing == "021000021" else []
    return {
        "institutions": found[25 * (page - 1) : 25 * page],
        "page": page,
        "total_pages": -(-len(found) // 25),
    }


def institution(session: Session, request: Request, body: Any) -> Any:
    return session.institution(int(request.path_params["guid"].removeprefix("INS-")))


def credentials(session: Session, request: Request, body: Any) -> Any:
    planted = session.world["name"]
    return {
        "credentials": [
            {"guid": "CRD-2", "label": planted or "Password", "field_type": 1, "display_order": 2},
            {"guid": "CRD-1", "label": planted or "Username", "field_type": 0, "display_order": 1},
        ]
    }


def create_member(session: Session, request: Request, body: Any) -> Any:
    number = int(body["institution_guid"].removeprefix("INS-"))
    if body.get("is_oauth"):
        member = session.make(number, "pending", is_oauth=True)
        return {
            "member": {
                **session.show(member),
                "oauth_window_uri": open_window(session, request, member["guid"]),
            }
        }
    values = {item["guid"]: item["value"] for item in body["credentials"]}
    if values["CRD-1"] == "twice" and session.members:
        raise Refused(409, "duplicate_member", guid="MBR-0")
    return {"member": session.show(session.make(number, values["CRD-2"], is_oauth=False))}


def found(session: Session, request: Request) -> dict[str, Any]:
    member = session.members.get(request.path_params["guid"])
    if member is None:
        raise Refused(404, "not_found")
    return member


def member(session: Session, request: Request, body: Any) -> Any:
    return session.show(found(session, request))


def update_member(session: Session, request: Request, body: Any) -> Any:
    changed = found(session, request)
    changed["password"] = {item["guid"]: item["value"] for item in body["credentials"]}["CRD-2"]
    session.run(changed)
    return {"member": session.show(changed)}


def answer(session: Session, request: Request, body: Any) -> Any:
    asked = found(session, request)
    value = body["credentials"][0]["value"]
    session.run(asked)
    asked.update(is_answered=True, password=asked["password"] if value == "correct" else value)
    if value not in {"correct", *ENDINGS, *QUESTIONS}:
        asked["password"] = "wrong"
    return {"member": session.show(asked)}


def run_job(session: Session, request: Request, body: Any) -> Any:
    wanted = found(session, request)
    session.run(wanted)
    return {"member": session.show(wanted)}


def delete_member(session: Session, request: Request, body: Any) -> Any:
    del session.members[found(session, request)["guid"]]


def open_window(session: Session, request: Request, guid: str) -> str:
    state = f"OST-{len(session.states)}-{len(SESSIONS)}"
    session.states[state] = {
        "guid": state,
        "auth_status": 1,
        "outbound_member_guid": guid,
        "error_reason_name": None,
    }
    return f"{request.base_url}bank/{state}"


def oauth_window(session: Session, request: Request, body: Any) -> Any:
    guid = found(session, request)["guid"]
    return {"guid": guid, "oauth_window_uri": open_window(session, request, guid)}


def oauth_states(session: Session, request: Request, body: Any) -> Any:
    return {"oauth_states": list(reversed(session.states.values()))}


def oauth_state(session: Session, request: Request, body: Any) -> Any:
    return session.states[request.path_params["guid"]]


def accounts(session: Session, request: Request, body: Any) -> Any:
    return {
        "accounts": [
            {"guid": f"ACT-{n}", "name": name, "account_type": n % 2 + 1, "account_number": f"{4100 + n}"}
            for n, name in enumerate(["Everyday Checking", "Rainy Day Savings", "Joint Checking"])
        ]
    }


def select_account(session: Session, request: Request, body: Any) -> Any:
    chosen = found(session, request)
    chosen["selected_account_guid"] = body["account_guid"]
    return {"member": session.show(chosen)}


def routing_number(session: Session, request: Request, body: Any) -> Any:
    number = request.path_params["number"]
    if number == "000000000":
        return {"blocked_routing_number": {"guid": None, "reason": 0, "reason_name": "INVALID"}}
    if number == "021000021":
        advice = {"guid": None, "reason": 3, "reason_name": "IAV_PREFERRED"}
        return {"blocked_routing_number": advice, "institution": session.institution(0)}
    return {}


def create_deposit(session: Session, request: Request, body: Any) -> Any:
    guid = f"MIC-{len(session.deposits)}"
    session.deposits[guid] = {
        "guid": guid,
        "status": 2 if body["account_number"].startswith("3333") else 0,
        "account_number": body["account_number"][-4:],
        "deposit_expected_at": "2026-11-25T14:00:00Z",
        "attempts_left": 3,
    }
    return {"micro_deposit": session.deposits[guid]}


def deposit(session: Session, request: Request, body: Any) -> Any:
    return session.deposits[request.path_params["guid"]]


def verify_deposit(session: Session, request: Request, body: Any) -> Any:
    judged = session.deposits[request.path_params["guid"]]
    if {body["deposit_amount_1"], body["deposit_amount_2"]} == {"03", "15"}:
        judged["status"] = 3
    else:
        judged["attempts_left"] -= 1
        judged["status"] = 5 if judged["attempts_left"] else 6
    return {"micro_deposit": judged}


API = [
    Route("/start", api(start)),
    Route("/consent", api(consent), methods=["POST"]),
    Route("/institutions", api(institutions)),
    Route("/institutions/{guid}", api(institution)),
    Route("/institutions/{guid}/credentials", api(credentials)),
    Route("/members", api(create_member), methods=["POST"]),
    Route("/members/{guid}", api(member)),
    Route("/members/{guid}", api(update_member), methods=["PUT"]),
    Route("/members/{guid}", api(delete_member), methods=["DELETE"]),
    Route("/members/{guid}/credentials", api(credentials)),
    Route("/members/{guid}/mfa", api(answer), methods=["PUT"]),
    Route("/members/{guid}/jobs", api(run_job), methods=["POST"]),
    Route("/members/{guid}/oauth_window_uri", api(oauth_window)),
    Route("/members/{guid}/accounts", api(accounts)),
    Route("/members/{guid}/account_selection", api(select_account), methods=["POST"]),
    Route("/oauth_states", api(oauth_states)),
    Route("/oauth_states/{guid}", api(oauth_state)),
    Route("/routing_numbers/{number}", api(routing_number)),
    Route("/micro_deposits", api(create_deposit), methods=["POST"]),
    Route("/micro_deposits/{guid}", api(deposit)),
    Route("/micro_deposits/{guid}/verify", api(verify_deposit), methods=["PUT"]),
]


async def loader(request: Request) -> Response:
    return Response((STATIC / "connect.js").read_text(), media_type="text/javascript")


app = Starlette(
    routes=[
        Route("/md/connect/{wanted:path}", page),
        Mount("/md/static/stub", StaticFiles(directory=STATIC)),
        Mount("/md/api", routes=API),
        Route("/connect.js", loader),
        Route("/host", host),
        Route("/end", end, methods=["POST"]),
        Route("/bank/{state}", bank),
        Route("/bank/{state}/{status:int}", bank_answer),
    ]
)

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8300)
    uvicorn.run(app, host="127.0.0.1", port=parser.parse_args().port, log_level="warning")
