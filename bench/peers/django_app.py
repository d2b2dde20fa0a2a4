"""Django OAuth Toolkit, with codes to exchange: `gunicorn bench.peers.django_app:application`.

GET /bench/codes?count=N    N codes, made as the authorization endpoint makes them
GET /bench/token            an access token
"""

import os
import secrets
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from django.utils import timezone

CLIENT, SECRET = "bench", "s3cret"
REDIRECT_URI = "https://app.example/return"
database = urlsplit(os.environ["PEER_DATABASE_URL"])

settings.configure(
    SECRET_KEY=secrets.token_hex(),
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    # It adds Content-Length, without which the answers would be chunked.
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "oauth2_provider"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database.path[1:],
            "USER": database.username,
            "HOST": parse_qs(database.query)["host"][0],
            # Without it, Django connects again for each request.
            "CONN_MAX_AGE": None,
        }
    },
    # No refresh tokens: the others issue none, and each is another row.
    OAUTH2_PROVIDER={"PKCE_REQUIRED": False, "SCOPES": {"numbers": "Account numbers"}},
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402 (models can be imported after the set-up)
from oauth2_provider.decorators import protected_resource  # noqa: E402
from oauth2_provider.models import AccessToken, Application, Grant  # noqa: E402

call_command("migrate", verbosity=0)
user, _ = User.objects.get_or_create(username="ann")
client, _ = Application.objects.get_or_create(
    client_id=CLIENT,
    defaults={
        "client_secret": SECRET,
        # Hashed, each exchange would take the time of PBKDF2.
        "hash_client_secret": False,
        "client_type": "confidential",
        "authorization_grant_type": "authorization-code",
        "redirect_uris": REDIRECT_URI,
        "user": user,
    },
)


def codes(request: HttpRequest) -> JsonResponse:
    expires = timezone.now() + timedelta(minutes=10)
    made = [
        Grant(
            user=user,
            code=secrets.token_urlsafe(32),
            application=client,
            expires=expires,
            redirect_uri=REDIRECT_URI,
            scope="numbers",
        )
        for _ in range(int(request.GET["count"]))
    ]
    Grant.objects.bulk_create(made)
    return JsonResponse([each.code for each in made], safe=False)


def token(_: HttpRequest) -> JsonResponse:
    expires = timezone.now() + timedelta(days=60)
    made = AccessToken.objects.create(
        user=user, token=secrets.token_urlsafe(32), application=client, expires=expires, scope="numbers"
    )
    return JsonResponse(made.token, safe=False)


@protected_resource(scopes=["numbers"])
def numbers(_: HttpRequest) -> JsonResponse:
    return JsonResponse({"sub": "ann", "account_number": "3141592653", "routing_number": "091000019"})


urlpatterns = [
    path("bench/codes", codes),
    path("bench/token", token),
    path("me", numbers),
    path("", include("oauth2_provider.urls")),
]
application = get_wsgi_application()
