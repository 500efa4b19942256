FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY gateway gateway
COPY migrations migrations
COPY examples examples
RUN python -m venv /opt/modelgate \
    && /opt/modelgate/bin/pip install --no-cache-dir --constraint requirements.lock ".[embedded,opensearch,otel]"

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/modelgate modelgate
COPY --from=build /opt/modelgate /opt/modelgate
# Inside a container, only other containers and published ports can reach the address.
ENV PATH="/opt/modelgate/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    MODELGATE_SERVER_HOST=0.0.0.0 \
    MODELGATE_SERVER_DATA_DIR=/var/lib/modelgate
USER modelgate
WORKDIR /var/lib/modelgate
VOLUME /var/lib/modelgate
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health', timeout=2)"]
ENTRYPOINT ["modelgate"]
CMD ["serve"]
