"""Prometheus: the metrics of a service with logins and tokens."""

from prometheus_client import Counter, Gauge, Histogram, Info, generate_latest

LOGINS = Counter(
    "auth_logins", "Logins by how they ended: wrong password, expired token", ["outcome", "password_policy"]
)
TOKENS = Counter("tokens_issued", "Tokens issued, by client and kind", ["client", "token_type"])
AGE = Gauge("secret_age_seconds", "Age of a secret in the secret store", ["secret_name", "store"])
KEYS = Gauge("encryption_key_tokens", "Tokens under each key", ["key_id", "state"])
TIME = Histogram("password_hash_seconds", "Time that hashing a password took", ["hasher"])
Info("token_service", "Version").info({"version": "1.4.2", "commit": "5f0c1a9e7b3d2440bb6a1f0c9d8e7f6a5b4c3d2e"})

for outcome in ("wrong_password", "expired_token", "locked", "ok", "otp_required"):
    LOGINS.labels(outcome, "strict").inc(7)
for client in ("web", "mobile", "cli", "batch-2", "token-exchange"):
    for kind in ("access_token", "refresh_token", "id_token", "Bearer"):
        TOKENS.labels(client, kind).inc(12)
for secret in ("db/primary", "prod/db-password", "oauth-client-7", "jwt-signing-2026-11", "smtp_password"):
    AGE.labels(secret, "vault").set(86_400.5)
for key_id in ("5f0c1a9e", "b7d2440b", "0a91cc3e"):
    for state in ("primary", "previous", "staged"):
        KEYS.labels(key_id, state).set(812)
for hasher in ("argon2id", "pbkdf2_sha256", "bcrypt_sha256", "scrypt"):
    TIME.labels(hasher).observe(0.2)
print(generate_latest().decode())
