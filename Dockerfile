# keyring-rotate as an image, for jobs: Kubernetes CronJobs, Compose, `docker run`.
# No registry has this image. Build it in a checkout, and push it to a registry of your own:
#
#   docker build -t keyring-rotate:0.1.0 .
#   docker run --rm -v "$PWD:/work:ro" --env-file .env keyring-rotate:0.1.0 status
#
# /work is where a command looks for rotation.toml. A container keeps no disk: set ROTATION_LEDGER_URL to a database.
# The root file system may be read-only; only `demo` writes, into /tmp.
#
# Packages come by the hashes of deploy/image, which .ci/lock writes. Pin the base image, too:
#
#   docker build --build-arg BASE=python:3.13-slim@sha256:... -t keyring-rotate:0.1.0 .

ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
COPY deploy/image deploy/image
# The folder of the final image: a virtual environment knows its own path. pip stays outside of it.
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes --requirement deploy/image/build.txt \
    && python -m venv --without-pip /opt/keyring \
    && pip --python /opt/keyring install --no-cache-dir --only-binary :all: --require-hashes --requirement deploy/image/install.txt
COPY pyproject.toml README.md LICENSE ./
COPY keyring_core keyring_core
COPY rotation rotation
# All that these need is there: without an index nothing else can come in.
RUN /opt/build/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /dist . \
    && pip --python /opt/keyring install --no-cache-dir --no-index "$(echo /dist/*.whl)[rotate,postgres,mysql]"

FROM ${BASE}
LABEL org.opencontainers.image.title="keyring-rotate" \
      org.opencontainers.image.description="Re-encrypts stored Fernet tokens under the newest key, and checks keys and tokens" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"

# The number that deploy/kubernetes names. A name as well, since the PostgreSQL client asks who it runs as.
RUN groupadd --gid 65532 keyring \
    && useradd --key UID_MAX=65533 --uid 65532 --gid 65532 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin keyring \
    && install -d -o 65532 -g 65532 -m 0700 /work
COPY --from=build /opt/keyring /opt/keyring
ENV PATH=/opt/keyring/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1

USER 65532:65532
WORKDIR /work

# A command ends: its exit code is its health, and its scheduler reads it. Nothing stays up that could be asked again and
# again, and Kubernetes ignores this line. The alert KeyringCheckMissing of deploy/prometheus says that the nightly check
# no longer comes at all.
HEALTHCHECK NONE

ENTRYPOINT ["keyring-rotate"]
CMD ["--help"]
