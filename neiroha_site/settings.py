"""The one settings file. Every NEIROHA_ variable is described in docs/configuration.md."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.utils.csp import CSP
from django.utils.translation import gettext_lazy as _

from neiroha_site import addresses, file_storage
from neiroha_site.environment import (
    env_bool,
    env_choice,
    env_int,
    env_list,
    env_secret,
    env_text,
    kept_secret,
    wants_tracing,
)

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"

DATA_DIR = Path(env_text("NEIROHA_DATA_DIR") or BASE_DIR / "data").resolve()
DEBUG = env_bool("NEIROHA_DEBUG")
SECRET_KEY = env_secret("NEIROHA_SECRET_KEY") or kept_secret(DATA_DIR / "secrets" / "secret_key", "key")
# The first key encrypts, all of them decrypt: put a new one in front, then run `manage.py rotate_keys`.
FIELD_KEYS = [key.strip() for key in env_secret("NEIROHA_FIELD_KEYS").split(",") if key.strip()] or [
    key.strip() for key in kept_secret(DATA_DIR / "secrets" / "field_keys", "fernet").replace("\n", ",").split(",")
]

# Listening. None: the settings page decides.
BIND_HOST = env_text("NEIROHA_HOST") or None
# What `serve` listens on in this process, once it does.
LISTENING_HOST = ""
BIND_PORT = env_int("NEIROHA_PORT", 1, 65535)
PUBLIC_URL = env_text("NEIROHA_PUBLIC_URL").rstrip("/")
TRUSTED_PROXIES = env_list("NEIROHA_TRUSTED_PROXIES")
ALLOW_OPEN_API = env_bool("NEIROHA_ALLOW_OPEN_API")
# Whether the webhooks of jobs may call this machine and private networks.
ALLOW_PRIVATE_WEBHOOKS = env_bool("NEIROHA_ALLOW_PRIVATE_WEBHOOKS")
ADMIN_PASSWORD = env_secret("NEIROHA_ADMIN_PASSWORD")
# A folder with a model for the recogniser that suggests transcripts (the extra "transcribe").
TRANSCRIBE_MODEL = env_text("NEIROHA_TRANSCRIBE_MODEL")

if PUBLIC_URL and (urlsplit(PUBLIC_URL).scheme not in ("http", "https") or not urlsplit(PUBLIC_URL).hostname):
    raise ImproperlyConfigured("NEIROHA_PUBLIC_URL must be an address such as https://voices.example.com.")


def _own_hosts() -> list[str]:
    names = ["localhost", "127.0.0.1", "[::1]", socket.gethostname().lower()]
    return names + ([urlsplit(PUBLIC_URL).hostname or ""] if PUBLIC_URL else [])


ALLOWED_HOSTS = [*_own_hosts(), *env_list("NEIROHA_ALLOWED_HOSTS")]

_TLS = PUBLIC_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = _TLS
SECURE_REDIRECT_EXEMPT = [r"^health$"]
SECURE_HSTS_SECONDS = 31_536_000 if _TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _TLS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SECURE_CSP = {
    "default-src": [CSP.SELF],
    # Alpine, which the admin shell is built on, evaluates its expressions.
    "script-src": [CSP.SELF, CSP.UNSAFE_EVAL],
    "style-src": [CSP.SELF, CSP.UNSAFE_INLINE],
    "img-src": [CSP.SELF, "data:", "blob:"],
    "media-src": [CSP.SELF, "blob:"],
    "object-src": [CSP.NONE],
    "base-uri": [CSP.SELF],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
}

# As an app, daphne only replaces `runserver`; importing it costs every other command two seconds.
_DEVELOPING = ["daphne"] if "runserver" in sys.argv else []

INSTALLED_APPS = [
    *_DEVELOPING,
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "providers",
    "banks",
    "studio",
    "api",
    # Last, as its groups hold permissions of all the others.
    "neiroha_site",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "neiroha_site.static_files.StaticFilesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "neiroha_site.preferences.PreferencesMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "neiroha_site.storage_pages.StorageMiddleware",
]

ROOT_URLCONF = "neiroha_site.urls"
ASGI_APPLICATION = "neiroha_site.asgi.application"

# Without it one process does everything; with it any number of them share one queue, one cache, one set of throttles.
REDIS_URL = addresses.redis(_redis) if (_redis := env_secret("NEIROHA_REDIS_URL")) else ""
CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": (
        {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": addresses.redis_layer(REDIS_URL)}
        if REDIS_URL
        else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    )
}
CACHES = {
    "default": (
        {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL, "KEY_PREFIX": "neiroha"}
        if REDIS_URL
        else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    ),
    # Of this process alone: see studio.rows.
    "rows": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": "rows",
        "OPTIONS": {"MAX_ENTRIES": 2000},
    },
}

# The pages' own files are found by the server itself (see neiroha_site.static_files).
STORAGES: dict[str, dict[str, Any]] = {
    "default": file_storage.from_environment(),
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

_SQLITE: dict[str, Any] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": DATA_DIR / "neiroha.sqlite3",
    "OPTIONS": {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    },
    # A file, so that a live server's threads see what a test wrote.
    "TEST": {"NAME": DATA_DIR / "test.sqlite3"},
}
_database = env_secret("NEIROHA_DATABASE_URL")
DATABASES: dict[str, dict[str, Any]] = {"default": addresses.postgresql(_database) if _database else _SQLITE}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

LANGUAGE_CODE = "en"
# Each under its own name, so that everybody finds theirs.
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
# Found in the packages themselves, so that a fresh checkout needs no collectstatic.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# Uploads through pages; the API's own limit is a setting of the administrator's.
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
# A folder of chapters, each a file and its path.
DATA_UPLOAD_MAX_NUMBER_FILES = 600

REST_FRAMEWORK = {
    # A view that names none of its own stays closed.
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "api.native.schema.NeirohaSchema",
    "EXCEPTION_HANDLER": "api.exceptions.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Neiroha",
    "DESCRIPTION": "Speech from many providers through one OpenAI-compatible API.",
    "VERSION": VERSION,
    "COMPONENT_SPLIT_REQUEST": True,
    # A choice that may be empty is one type, not two.
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "SCHEMA_PATH_PREFIX": "^/api(?=/)",
    "GET_LIB_DOC_EXCLUDES": "api.native.docs.undescribed",
    "POSTPROCESSING_HOOKS": ["api.native.schema.short_paths"],
}
# The API's own middleware (see api.handler): no session, no cookies, hence no CSRF.
API_MIDDLEWARE = [
    "api.middleware.ApiCorsMiddleware",
]

LOG_FORMAT = env_choice("NEIROHA_LOG_FORMAT", ("text", "json"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"text": {"()": "providers.logs.TextFormatter"}, "json": {"()": "providers.logs.JsonFormatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # Django's own handler would write its lines once more while debugging, as text.
        "django": {"handlers": [], "level": "INFO"},
        "httpx": {"level": "WARNING"},
        "botocore": {"level": "WARNING"},
        "uvicorn.access": {"level": "WARNING"},
        # A line for each slice says nothing.
        "celery": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        # Anybody can send any Host, as long as it likes; the answer says what is wrong.
        "django.security.DisallowedHost": {"handlers": [], "propagate": False},
    },
}

# Traces, where they are wanted; everything else about them is said by OpenTelemetry's own variables.
OTEL = wants_tracing(
    env_choice("NEIROHA_OTEL", ("auto", "true", "false")),
    env_text("OTEL_EXPORTER_OTLP_ENDPOINT"),
    env_text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
)
# Hosts of providers that are told which trace they are called in. None: a trace ends where others' machines begin.
OTEL_PROPAGATE_TO = [host.lower() for host in env_list("NEIROHA_OTEL_PROPAGATE_TO")]

UNFOLD = {
    "SITE_TITLE": "Neiroha",
    "SITE_HEADER": "Neiroha",
    "SITE_SUBHEADER": _("Voices for everything"),
    "SITE_URL": None,
    "SITE_SYMBOL": "graphic_eq",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "neiroha_site.navigation.favicon"}],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": ["neiroha_site.navigation.stylesheet"],
    "SCRIPTS": ["neiroha_site.navigation.script"],
    "SIDEBAR": {"navigation": "neiroha_site.navigation.sidebar"},
    "ACCOUNT": {"navigation": "neiroha_site.navigation.account_links"},
    "LOGIN": {"form": "neiroha_site.sign_in.SignInForm"},
    "DASHBOARD_CALLBACK": "neiroha_site.dashboard.dashboard",
    # Teal; 600 carries white text at 5.5:1, 500 is the link colour on dark pages at more than 7:1.
    "COLORS": {
        "primary": {
            "50": "#f0fdfa",
            "100": "#ccfbf1",
            "200": "#99f6e4",
            "300": "#5eead4",
            "400": "#2dd4bf",
            "500": "#14b8a6",
            "600": "#0f766e",
            "700": "#115e59",
            "800": "#134e4a",
            "900": "#123b39",
            "950": "#042f2e",
        },
    },
}
