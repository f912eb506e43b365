FROM debian:trixie-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-minimal \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY whoami.py /whoami.py
ENV PORT=80
EXPOSE 80
CMD ["python3", "/whoami.py"]
