package org.opensearch.transport.grpc.spi;

/** See QueryBuilderProtoConverter. */
public interface QueryBuilderProtoConverterRegistry {}
