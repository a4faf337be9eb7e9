"""Django: the server's and the ORM's log, checks, migrations."""

import logging
import sys
import threading
import urllib.error
import urllib.request

import django
from django.conf import settings
from django.core.management import call_command
from django.core.servers.basehttp import WSGIRequestHandler, WSGIServer
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

APPS = [f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "sessions", "messages")]
settings.configure(
    DEBUG=True,
    SECRET_KEY="x" * 50,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[*APPS, "rest_framework", "rest_framework.authtoken"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {}}],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "app.db"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()
urlpatterns = [path("accounts/", include("django.contrib.auth.urls"))]
logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, format="%(asctime)s %(levelname)s %(name)s %(message)s")
call_command("migrate", verbosity=2)
call_command("sqlmigrate", "auth", "0001")
call_command("sqlmigrate", "authtoken", "0001")
call_command("check", "--deploy", fail_level="CRITICAL")
call_command("inspectdb")

from django.contrib.auth.models import Group, User  # noqa: E402
from rest_framework.authtoken.models import Token  # noqa: E402

User.objects.filter(password="").update(is_active=False)
list(User.objects.filter(last_login=None).exclude(username="bob").select_related("auth_token"))
list(Token.objects.filter(user__username="bob").order_by("-created"))
list(Group.objects.prefetch_related("permissions").filter(name__contains="token"))

server = WSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
server.set_app(get_wsgi_application())
threading.Thread(target=server.serve_forever, daemon=True).start()
PATHS = (
    "/accounts/login/ /accounts/password_reset/ /accounts/password_reset/done/ /accounts/reset/done/ /reset-password"
    " /forgot-password /change-password?next=/ /api/token/refresh /api/v1/tokens?page=2 /api/v2/secrets/db/metadata"
    " /accounts/password_change/ /accounts/reset/Mg/set-password/ /oauth/token /.well-known/change-password"
    " /static/js/password-strength.4f2a91bc.js /users/12/password /password/reset /auth/forgot-password?lang=de"
)
for page in PATHS.split():
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}{page}").read()
    except urllib.error.HTTPError:
        pass
