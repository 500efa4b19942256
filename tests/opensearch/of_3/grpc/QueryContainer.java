package org.opensearch.protobufs;

/** See QueryBuilderProtoConverter. */
public final class QueryContainer {
    private QueryContainer() {}

    /** Which query it is. */
    public enum QueryContainerCase {
        KNN
    }
}
