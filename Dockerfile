# codeclm in an image: docker build -t codeclm . && docker run --rm -v "$PWD:/work" codeclm --help
FROM python:3.13-slim AS build
COPY . /source
RUN pip wheel --quiet --wheel-dir /wheels "/source[lean,parquet,quality,yaml]"

FROM python:3.13-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --quiet --no-cache-dir --no-index --find-links /wheels \
        "codeclm[lean,parquet,quality,yaml]" \
    && useradd --create-home codeclm
USER codeclm
WORKDIR /work
# Paid answers outlive the container, beside the runs that they belong to.
ENV CODECLM_CACHE_DIR=/work/.codeclm-cache
ENTRYPOINT ["codeclm"]
