# The example: a web page that tells which architecture serves it.
FROM busybox:stable
# This runs on the platform that is built, so on another architecture it needs its emulator.
RUN mkdir -p /www && echo "<h1>Hello from $(uname -m)</h1>" > /www/index.html
EXPOSE 8080
CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]
