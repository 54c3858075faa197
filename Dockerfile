FROM python:3.12-slim AS build
RUN pip install --no-cache-dir uv
WORKDIR /src
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-dev --no-install-project --compile-bytecode
COPY cli cli
COPY devkit devkit
COPY app app
COPY manifest manifest
COPY graphs graphs
COPY tools tools
COPY tenants tenants
COPY migrations migrations
RUN uv sync --frozen --no-dev --no-editable --compile-bytecode

FROM python:3.12-slim
RUN useradd --system --create-home recado
COPY --from=build /src/.venv /src/.venv
ENV PATH=/src/.venv/bin:$PATH PYTHONUNBUFFERED=1
USER recado
ENTRYPOINT ["recado"]
