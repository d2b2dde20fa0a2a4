# Pin by digest for production: --build-arg PYTHON=python:3.13-slim@sha256:...
ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/coatcheck && python -m venv /opt/builder
# The lock files only, so that a change of code does not install the dependencies again.
COPY requirements/runtime.txt requirements/build.txt requirements/
RUN /opt/coatcheck/bin/pip install --require-hashes -r requirements/runtime.txt \
 && /opt/builder/bin/pip install --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/builder/bin/python -m hatchling build --target wheel --directory /build/dist \
 && /opt/coatcheck/bin/pip install --no-deps --no-index /build/dist/*.whl \
 && /opt/coatcheck/bin/python -m compileall -q /opt/coatcheck/lib \
 && /opt/coatcheck/bin/pip uninstall --yes --quiet pip

FROM ${PYTHON}
LABEL org.opencontainers.image.title="Coatcheck" org.opencontainers.image.licenses="Apache-2.0"
# /data is for `coatcheck sandbox`. A server stores all data in PostgreSQL.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin coatcheck \
 && install --directory --owner coatcheck --group coatcheck --mode 0700 /data
COPY --from=build /opt/coatcheck /opt/coatcheck
ENV PATH=/opt/coatcheck/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    COATCHECK_HOST=0.0.0.0 \
    COATCHECK_PORT=8000
USER 10001:10001
WORKDIR /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"COATCHECK_PORT\"]}/health', timeout=4)"]
ENTRYPOINT ["coatcheck"]
CMD ["serve"]
